"""The transcript of a conversation: each finished item recorded once, and shown to the page."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm

from session_store.errors import InvalidValue, RecorderFull
from session_store.livekit.job.chat_items import active_agent, item_id_of, turn_of
from session_store.livekit.job.drafts import SettledDraft, recovered
from session_store.livekit.job.fitted_turn import fitted, repaired
from session_store.livekit.job.tool_pairs import CALL_TURN, call_id_of, tool_pairs
from session_store.livekit.job.unknown_outcomes import STILL_RUNS, unknown_outcomes
from session_store.models import RecordedTurn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

    from session_store.livekit.job.drafts import Drafts
    from session_store.livekit.job.page_channel import PageChannel
    from session_store.models import Draft, Turn
    from session_store.values import Lease, SealedTurn
    from session_store.writing.recorder import Recorder

logger = logging.getLogger(__name__)

_NO_DRAFT: Final = SettledDraft()


class Transcript:
    """Records items by their ids, and shows them."""

    def __init__(  # noqa: PLR0913 (what it writes, and to whom)
        self,
        recorder: Recorder,
        channel: PageChannel,
        lease: Lease,
        earlier: Iterable[RecordedTurn],
        drafts: Drafts | None = None,
        *,
        state: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """Make one.

        Args:
            recorder: writes the turns.
            channel: shows them to the page.
            lease: the recorder's.
            earlier: what was said before.
            drafts: what is being said.
            state: returns what the program works on, as it is now; sealed with each turn.
        """
        self._recorder = recorder
        self._channel = channel
        self._lease = lease
        self._drafts = drafts
        self._state = state
        self._recorded = _by_item(earlier)
        self._not_kept: set[str] = set()
        self._typed: llm.ChatMessage | None = None
        self._not_before = 0.0
        self._active_agent = active_agent(self._recorded.values())
        self._open_calls: dict[str, str] = {}
        """The turn of the newest call of each id, until its output is recorded."""
        self._note_open_calls()

    @property
    def turns(self) -> tuple[RecordedTurn, ...]:
        """All turns that are known here, in the order of the record."""
        return tuple(self._recorded.values())

    def knows(self, item_id: str) -> bool:
        """Return whether an item was recorded, or was dropped because the recorder was full."""
        return item_id in self._recorded or item_id in self._not_kept

    def awaits_output(self, call_id: str) -> bool:
        """Return whether the newest call with this id has no output yet."""
        return call_id in self._open_calls

    def make_good(self, drafts: Iterable[Draft]) -> None:
        """Record what the job before could not: words in mid-speech, and outcomes of tools.

        Call it before anything else is recorded. The words of the agent become an interrupted turn.
        Those of the user become a turn that wants an answer. A call without an outcome is given the
        outcome "unknown". If the job before ended properly, there is nothing to record.
        """
        for draft in recovered(drafts, self.turns):
            self._try(partial(self._record, draft.turn, draft.number))
        for item, call_turn in unknown_outcomes(self.turns):
            self._try(partial(self._record_item, item, _NO_DRAFT, call_turn=call_turn))
        # The clock of this machine may be behind that of the job before.
        self._not_before = max((recorded.turn.created_at for recorded in self.turns), default=0.0)

    def record(self, item: llm.ChatItem, *, still_runs: bool = False) -> bool:
        """Record an item; return False for one that is not part of the conversation.

        Those are changes of configuration, and handoffs to the agent that is active already.

        Args:
            item: not recorded yet.
            still_runs: it is the output of a tool that has only reported so far.

        Raises:
            InvalidValue: it cannot be kept, not even in part.
            RecorderFull: too much waits for the store already. The page's turn stays unsaved.
        """
        return self._record_item(item, _NO_DRAFT, still_runs=still_runs)

    def record_typed(self, message: llm.ChatMessage) -> bool:
        """Record what was typed; as ``record``.

        A realtime model adds it to the conversation once more, under an id of its own.
        """
        self._typed = message
        settled = _NO_DRAFT if self._drafts is None else SettledDraft(self._drafts.typed())
        return self._record_item(message, settled, still_runs=False)

    def record_if_new(self, item: Any, *, still_runs: bool = False) -> bool:
        """Record an item that was not yet; log and return False for one that cannot be kept.

        Args:
            item: of any type that LiveKit has.
            still_runs: see ``record``.
        """
        if not (hasattr(item, "id") and hasattr(item, "created_at")):
            logger.warning("an item of an unknown type is not kept", extra={"type": item.type})
            return False
        if self._was_typed(item) or self.knows(item.id):
            return False
        settled = _NO_DRAFT
        if self._drafts is not None and isinstance(item, llm.ChatMessage):
            settled = self._drafts.settle(item)
        return self._try(partial(self._record_item, item, settled, still_runs=still_runs))

    def adopt(self, earlier: Iterable[RecordedTurn], waiting: Iterable[SealedTurn] = ()) -> None:
        """Take over what was said before, and the new numbers of what was recorded here.

        For a lease that was granted late; see ``writing.offline_start``. Shows nothing.
        """
        here = (
            RecordedTurn(sealed.seq, sealed.turn) for sealed in waiting if sealed.turn is not None
        )
        self._recorded = _by_item((*earlier, *here))
        self._note_open_calls()

    def show_again(self, item_id: str) -> None:
        """Show an item, if it was recorded, to a page that may have missed it."""
        recorded = self._recorded.get(item_id)
        if recorded is not None:
            self._show(recorded)

    def show_newest(self, count: int) -> None:
        """Show the newest items to a page that was away for a moment."""
        for recorded in list(self._recorded.values())[-count:]:
            self._show(recorded)

    def _was_typed(self, item: llm.ChatItem) -> bool:
        """Return whether an item is what was typed a moment ago, under whatever id."""
        typed = self._typed
        if typed is None or not isinstance(item, llm.ChatMessage) or item.role != "user":
            return False
        if item.id != typed.id and item.text_content != typed.text_content:
            return False
        self._typed = None
        return True

    def _try(self, record: Callable[[], bool]) -> bool:
        try:
            return record()
        except InvalidValue as error:
            logger.warning("a turn cannot be kept", extra={"error": str(error)})
        except RecorderFull:
            pass  # Logged when the first turn found no room.
        return False

    def _record_item(
        self,
        item: llm.ChatItem,
        settled: SettledDraft,
        *,
        still_runs: bool = False,
        call_turn: str | None = None,
    ) -> bool:
        if isinstance(item, llm.AgentConfigUpdate):
            return False
        if isinstance(item, llm.AgentHandoff) and not self._note_handoff(item):
            return False
        turn = _written(item, settled.turn_id)
        if turn.kind is TurnKind.TOOL_OUTPUT:
            call_turn = call_turn or self._open_calls.get(call_id_of(turn))
            more: dict[str, JsonValue] = {CALL_TURN: call_turn} if call_turn else {}
            more |= {STILL_RUNS: True} if still_runs else {}
            turn = turn.model_copy(update={"details": {**turn.details, **more}})
        if turn.created_at < self._not_before:
            turn = turn.model_copy(update={"created_at": self._not_before})
        return self._record(turn, settled.settles)

    def _note_handoff(self, item: llm.AgentHandoff) -> bool:
        """Note the active agent; return whether the handoff is part of the conversation."""
        # Each job begins with a handoff from no agent to the one that it starts.
        first = self._active_agent or item.new_agent_id
        if item.old_agent_id is None and item.new_agent_id == first:
            return False
        self._active_agent = item.new_agent_id
        return True

    def _note_open_calls(self) -> None:
        self._open_calls = {
            call_id_of(pair.call.turn): pair.call.turn.id
            for pair in tool_pairs(self.turns)
            if pair.output is None
        }

    def _record(self, turn: Turn, settles: int) -> bool:
        try:
            turn, sealed = self._sealed(turn, settles)
        except RecorderFull as error:
            if not self._not_kept:
                logger.warning("turns are not kept any more", extra={"error": str(error)})
            self._not_kept.add(item_id_of(turn))
            raise
        recorded = RecordedTurn(sealed.seq, turn)
        self._recorded[item_id_of(turn)] = recorded
        if turn.kind is TurnKind.TOOL_CALL:
            self._open_calls[call_id_of(turn)] = turn.id
        elif turn.kind is TurnKind.TOOL_OUTPUT:
            self._open_calls.pop(call_id_of(turn), None)
        self._show(recorded)
        return True

    def _sealed(self, turn: Turn, settles: int) -> tuple[Turn, SealedTurn]:
        """Record a turn, cut to fit if need be; return it as it is kept, and its seal."""
        try:
            return turn, self._recorder.record(turn, settles, self._state())
        except InvalidValue as error:
            logger.warning("a turn is kept in part", extra={"reason": str(error)})
        turn = fitted(turn)
        return turn, self._recorder.record(turn, settles, self._state())

    def _show(self, recorded: RecordedTurn) -> None:
        # A late turn has no number of its own; the gateway gives the page its place.
        if not recorded.late:
            self._channel.turn(recorded, saved=recorded.seq <= self._lease.saved_seq)


def _written(item: llm.ChatItem, turn_id: str | None) -> Turn:
    """Write an item as a turn, repaired if need be.

    Raises:
        InvalidValue: it cannot be written, not even repaired.
    """
    try:
        return turn_of(item, turn_id=turn_id)
    except ValueError:
        logger.warning("an item is repaired before it is kept", extra={"type": item.type})
    try:
        item, new_id = repaired(item)
        return turn_of(item, turn_id=turn_id or new_id)
    except ValueError:
        raise InvalidValue("the item cannot be written down as a turn") from None


def _by_item(turns: Iterable[RecordedTurn]) -> dict[str, RecordedTurn]:
    return {item_id_of(recorded.turn): recorded for recorded in turns}
