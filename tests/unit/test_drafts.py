"""What is being said is written as it is said, seldom enough, and settled by its turn."""

from __future__ import annotations

import asyncio
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents.voice.io import TextOutput
from livekit.agents.voice.room_io import RoomOptions, TextOutputOptions

from session_store import Draft, Keyring, RecordedTurn, SessionStore, StoreSettings, Turn
from session_store.backends.memory.backend import MemoryBackend
from session_store.errors import LeaseLost, StoreUnavailable
from session_store.livekit.job import drafts as drafts_module
from session_store.livekit.job.drafts import Drafts, SettledDraft, recovered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store.backends.values import SealedDraft
    from session_store.values import Joined, Lease


pytestmark = pytest.mark.virtual_time


class Store(SessionStore):
    """A store in memory that counts drafts, and is away when a test wants it."""

    def __init__(self) -> None:
        keyring = Keyring(
            {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
        )
        super().__init__(MemoryBackend.from_settings(StoreSettings()), keyring)
        self.kept: list[int] = []
        self.error: Exception | None = None

    async def keep_draft(self, lease: Lease, sealed: SealedDraft) -> None:
        """Keep a draft, or not."""
        await asyncio.sleep(0)
        self.kept.append(sealed.number)
        if self.error is not None:
            raise self.error
        await super().keep_draft(lease, sealed)


class Talk(rtc.EventEmitter[Any]):
    """An agent session with what drafts use of one."""

    def __init__(self) -> None:
        super().__init__()
        self.output = SimpleNamespace(transcription=None)
        self.current_speech: Any = None
        self.holds = True
        """Whether LiveKit still has the user's words."""

    @property
    def _activity(self) -> Any:
        """What runs the agent, and recognises the user's words."""
        words = "words" if self.holds else ""
        recognition = SimpleNamespace(_audio_transcript=words, _audio_interim_transcript="")
        return SimpleNamespace(
            _audio_recognition=recognition,
            _user_turn_completed_atask=None,
            realtime_llm_session=None,
        )

    def begin(self, speech_id: str) -> None:
        """Let the agent begin to speak."""
        self.current_speech = SimpleNamespace(id=speech_id)

    def hear(self, words: str, *, is_final: bool = True) -> None:
        """Let the user be understood."""
        event = SimpleNamespace(transcript=words, is_final=is_final)
        self.emit("user_input_transcribed", event)


class Spoken(TextOutput):
    """A text output of another program's."""

    def __init__(self) -> None:
        super().__init__(label="somebody else's", next_in_chain=None)
        self.noted: list[str] = []

    async def capture_text(self, text: str) -> None:
        """Note a text."""
        self.noted.append(text)

    def flush(self) -> None:
        """Note an end."""
        self.noted.append("/")


class Job:
    """Drafts of one job, and a room that shows what the agent says."""

    def __init__(self, store: Store, joined: Joined) -> None:
        self.store = store
        self.joined = joined
        self.talk = Talk()
        self.theirs = Spoken()
        self.drafts = Drafts(store, joined.lease)
        agent_session: Any = self.talk
        self.options = self.drafts.overhear(
            agent_session, RoomOptions(text_output=TextOutputOptions(next_in_chain=self.theirs))
        )
        text_output = self.options.get_text_output_options()
        assert text_output is not None
        assert text_output.next_in_chain is not None
        self.out: TextOutput = text_output.next_in_chain

    async def say(self, *words: str) -> None:
        """Let the agent say words, one after another."""
        for each in words:
            await self.out.capture_text(each)

    async def stored(self) -> dict[str, str]:
        """Return what a successor would find being said, once all is written."""
        await asyncio.sleep(0.05)
        loaded = await self.store.load(self.joined.session.participant, self.joined.session.id)
        assert loaded is not None
        return {str(draft.turn.role): draft.turn.text for draft in loaded.drafts}


@pytest.fixture
async def job(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Job]:
    """Begin a job whose drafts are written every 10 ms."""
    monkeypatch.setattr(drafts_module, "EVERY_S", 0.01)
    monkeypatch.setattr(drafts_module, "LONGEST_RETRY_S", 0.02)
    store = Store()
    made = Job(store, await store.join(store.pseudonym("maria"), load_id="load-1"))
    yield made
    await made.drafts.aclose()


def message(role: Any, text: str) -> llm.ChatMessage:
    """Return a message."""
    return llm.ChatMessage(role=role, content=[text])


async def settle(job: Job, ended: SettledDraft, text: str, role: Any) -> None:
    """Append the turn of what was said."""
    turn = Turn(id=ended.turn_id or "t", role=role, text=text, created_at=1.0)
    sealed = job.store.seal(job.joined.lease, turn, ended.settles)
    await job.store.append(job.joined.lease, [sealed])


async def test_both_sides_are_kept_as_they_speak(job: Job) -> None:
    """Final words are followed by those that are being recognised, and the agent's by its next."""
    job.talk.hear("my name")
    job.talk.hear("is Mar", is_final=False)
    await job.say("Hello ", "there, ")
    assert await job.stored() == {"user": "my name is Mar", "assistant": "Hello there,"}
    job.talk.hear("is Maria")
    await job.say("Maria.")
    assert await job.stored() == {"user": "my name is Maria", "assistant": "Hello there, Maria."}


async def test_what_others_do_with_the_words_goes_on(job: Job) -> None:
    """A text output that the options name hears the same after us."""
    await job.say("Hello ", "there.")
    job.out.flush()
    assert job.theirs.noted == ["Hello ", "there.", "/"]


async def test_however_fast_somebody_speaks_few_drafts_are_written(job: Job) -> None:
    """Between two writes the newest words wait for the next one, which has them all."""
    for number in range(200):
        await job.say(f"{number} ")
        await asyncio.sleep(0)
    assert (await job.stored())["assistant"].endswith("198 199")
    assert len(job.store.kept) < 20


async def test_a_turn_settles_its_draft_and_takes_its_id(job: Job) -> None:
    """Nothing is being said afterwards, and the same words are not found twice."""
    job.talk.hear("my name is Maria")
    await job.stored()
    ended = job.drafts.settle(message("user", "my name is Maria"))
    await settle(job, ended, "my name is Maria", "user")
    assert await job.stored() == {}
    late = Turn(id=ended.turn_id or "", role="user", text="my name", created_at=0.5)
    loaded = await job.store.load(job.joined.session.participant, job.joined.session.id)
    assert loaded is not None
    assert recovered([Draft(1, late)], loaded.turns) == []


async def test_a_turn_that_was_never_a_draft_settles_none(job: Job) -> None:
    """Words that are recorded before they could be written keep their own id."""
    job.talk.hear("yes")
    assert job.drafts.settle(message("user", "yes")) == SettledDraft(0, None)


async def test_whoever_speaks_on_has_another_draft(job: Job) -> None:
    """The words behind those of the turn that is recorded are kept, under another id."""
    job.talk.hear("my name")
    job.talk.hear("is Maria")
    job.talk.hear("and I like")
    await job.stored()
    ended = job.drafts.settle(message("user", "my name is Maria"))
    await settle(job, ended, "my name is Maria", "user")
    assert await job.stored() == {"user": "and I like"}
    assert job.drafts.settle(message("user", "and I like")).turn_id != ended.turn_id


async def test_words_that_come_after_their_turn_begin_no_other(job: Job) -> None:
    """LiveKit sends the rest of an interrupted segment when the turn is recorded already."""
    job.talk.begin("speech-1")
    await job.say("Hello ", "there, ")
    await job.stored()
    ended = job.drafts.settle(message("assistant", "Hello there,"))
    await settle(job, ended, "Hello there,", "assistant")
    await job.say("Maria.")
    job.out.flush()
    assert await job.stored() == {}
    await job.say("Well. ")
    assert await job.stored() == {"assistant": "Well."}


async def test_a_speech_that_leaves_no_turn_is_not_part_of_the_next(job: Job) -> None:
    """Words that are not to be in the context end where other words begin."""
    job.talk.begin("speech-1")
    await job.say("One moment. ")
    job.out.flush()
    job.talk.begin("speech-2")
    await job.say("Here ", "it is.")
    assert await job.stored() == {"assistant": "Here it is."}


async def test_segments_of_one_speech_are_one_draft(job: Job) -> None:
    """LiveKit makes one turn of them."""
    job.talk.begin("speech-1")
    await job.say("One. ")
    job.out.flush()
    await job.say("Two.")
    assert await job.stored() == {"assistant": "One. Two."}


async def test_a_store_that_is_away_is_not_bothered(job: Job) -> None:
    """It is asked seldom, nothing is logged, and the newest words are there when it is back."""
    job.store.error = StoreUnavailable("away")
    for number in range(20):
        await job.say(f"{number} ")
        await asyncio.sleep(0.005)
    assert len(job.store.kept) < 10
    job.store.error = None
    assert (await job.stored())["assistant"].endswith("18 19")


async def test_after_a_lost_lease_nothing_is_written(job: Job) -> None:
    """The drafts of a job that was replaced are its successor's."""
    job.store.error = LeaseLost("s", 1)
    await job.say("Hello ")
    await job.stored()
    job.store.error = None
    await job.say("there.")
    assert await job.stored() == {}
    assert len(job.store.kept) == 1


@pytest.mark.parametrize("their_own", [True, False])
async def test_without_text_in_the_room_the_words_are_heard_too(their_own: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    """An agent session with a text output of its own, or none in the room, gets ours before it."""
    talk: Any = Talk()
    theirs = Spoken()
    if their_own:
        talk.output.transcription = theirs
    store = Store()
    joined = await store.join(store.pseudonym("maria"), load_id="load-1")
    drafts = Drafts(store, joined.lease)
    options = drafts.overhear(talk, RoomOptions(text_output=their_own))
    assert options.text_output is False
    await talk.output.transcription.capture_text("Hello.")
    talk.output.transcription.flush()
    assert theirs.noted == (["Hello.", "/"] if their_own else [])
    assert drafts.settle(message("assistant", "Hello.")) == SettledDraft(0, None)
    await drafts.aclose()


async def test_a_draft_is_never_written_behind_its_turn(job: Job) -> None:
    """The agent's turn is recorded while the user's draft is on its way: its words are no draft."""
    written = asyncio.Event()
    keep = job.store.keep_draft

    async def slowly(lease: Lease, sealed: SealedDraft) -> None:
        await written.wait()
        await keep(lease, sealed)

    job.store.keep_draft = slowly  # type: ignore[method-assign]
    job.talk.hear("hm")
    await asyncio.sleep(0)
    await job.say("Your booking is done.")
    await asyncio.sleep(0.03)
    ended = job.drafts.settle(message("assistant", "Your booking is done."))
    await settle(job, ended, "Your booking is done.", "assistant")
    written.set()
    assert await job.stored() == {"user": "hm"}


async def test_whoever_types_wants_no_answer_to_half_a_word(job: Job) -> None:
    """What was half understood before is no draft any more; if more comes, it is one again."""
    job.talk.hear("uh", is_final=False)
    await job.stored()
    await settle(job, SettledDraft(job.drafts.typed()), "what is my name?", "user")
    assert await job.stored() == {}
    job.talk.hear("uh please")
    assert await job.stored() == {"user": "uh please"}


async def test_half_a_word_of_somebody_who_left_is_taken_back(job: Job) -> None:
    """Nobody will say the rest of it."""
    job.talk.hear("uh", is_final=False)
    assert await job.stored() == {"user": "uh"}
    await job.drafts.give_up(has_left=True)
    assert await job.stored() == {}


async def test_whole_words_of_somebody_who_left_stay(job: Job) -> None:
    """They have no answer yet."""
    job.talk.hear("call me")
    job.talk.hear("tom", is_final=False)
    await job.stored()
    await job.drafts.give_up(has_left=True)
    assert await job.stored() == {"user": "call me"}


async def test_half_a_word_of_somebody_who_stays_is_kept_for_the_successor(job: Job) -> None:
    """At a deploy, a user may be in the middle of a word."""
    job.talk.hear("call me", is_final=False)
    await job.say("Your booking")
    await job.stored()
    await job.drafts.give_up(has_left=False)
    assert await job.stored() == {"user": "call me"}


async def test_words_that_were_thrown_away_are_soon_gone(job: Job) -> None:
    """A program raises ``StopResponse``, or clears the turn: LiveKit has them no more."""
    job.talk.hear("computer")
    assert await job.stored() == {"user": "computer"}
    job.talk.holds = False
    assert await job.stored() == {}
    job.talk.holds = True
    job.talk.hear("what is the time?")
    assert await job.stored() == {"user": "what is the time?"}


async def test_what_the_agent_said_beside_the_conversation_is_soon_gone(job: Job) -> None:
    """Its speech is over, and LiveKit has kept it out of the context."""
    job.talk.begin("speech-1")
    await job.say("One moment.")
    assert await job.stored() == {"assistant": "One moment."}
    job.out.flush()
    job.talk.current_speech = None
    assert await job.stored() == {}


def drafted(number: int, role: Any, text: str, at: float) -> Draft:
    """Return a draft."""
    return Draft(number, Turn(id=f"draft-{number}", role=role, text=text, created_at=at))


def test_what_is_recovered_is_in_the_order_of_time() -> None:
    """The speaker who began first comes first; a draft without words is none."""
    drafts = [drafted(2, "user", "stop", 2.0), drafted(1, "assistant", "Hello", 1.0)]
    assert [draft.number for draft in recovered(drafts, [])] == [1, 2]
    assert recovered([drafted(1, "user", " ", 1.0)], []) == []


@pytest.mark.parametrize(
    ("role", "text", "at", "is_recovered"),
    [
        ("assistant", "Hello there, Maria", 2.0, False),
        # LiveKit dates a turn of the agent's before its first word.
        ("assistant", "Hello there, Maria", 0.5, False),
        ("assistant", "Hello", 2.0, True),
        ("user", "Hello there, Maria", 2.0, True),
    ],
)
def test_the_same_words_are_recorded_once(
    role: Any,
    text: str,
    at: float,
    is_recovered: bool,  # noqa: FBT001 (a parameter of a test)
) -> None:
    """A draft of which there is a turn is not recovered; another turn is no hindrance."""
    turn = Turn(id="t", role=role, text=text, created_at=at)
    found = recovered([drafted(1, "assistant", "Hello there,", 1.0)], [RecordedTurn(1, turn)])
    assert (found != []) is is_recovered


def test_whoever_says_the_same_again_is_heard() -> None:
    """The user's words of now are not those of an older turn."""
    turn = Turn(id="t", role="user", text="yes", created_at=0.5)
    assert len(recovered([drafted(1, "user", "yes", 1.0)], [RecordedTurn(1, turn)])) == 1


async def test_a_whole_turn_that_comes_in_late_takes_the_place_of_its_draft(job: Job) -> None:
    """The job that was cut off had more of a sentence than its successor could know."""
    job.talk.hear("my account number is")
    await job.stored()
    whole = message("user", "my account number is 4711")
    ended = job.drafts.settle(whole)
    turn = Turn(id=ended.turn_id or "", role="user", text=whole.text_content or "", created_at=9.0)
    unsaved = [job.store.seal(job.joined.lease, turn, ended.settles)]
    late = job.joined.lease.ref
    await job.store.release(job.joined.lease)
    again = await job.store.join(job.joined.session.participant, load_id="load-2")
    (draft,) = recovered(again.drafts, again.turns)
    sealed = job.store.seal(again.lease, draft.turn, draft.number)
    await job.store.append(again.lease, [sealed])
    await job.store.replay(late, unsaved)
    loaded = await job.store.load(again.session.participant, again.session.id)
    assert loaded is not None
    assert [(each.seq, each.turn.text, each.late) for each in loaded.turns] == [
        (1, "my account number is 4711", False)
    ]
    assert loaded.drafts == ()
