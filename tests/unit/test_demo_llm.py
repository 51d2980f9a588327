"""The demo's language model, through LiveKit's own AgentSession."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from livekit.agents import Agent, AgentSession, RunResult, ToolError, function_tool
from livekit.agents.llm import (
    ChatContext,
    ChatMessage,
    FunctionCall,
    FunctionCallOutput,
    ToolContext,
)

from demo_models.llm import RuleLLM
from demo_models.phrases import LANGUAGES, PHRASES

EN, ES, DE, FR = (PHRASES[language] for language in LANGUAGES)


def instructions(**memory: Any) -> str:
    """Render instructions as the assistant does."""
    block = json.dumps({"visit": 1, "language": "en", **memory}, ensure_ascii=False)
    return f"You are a friendly voice assistant.\n<memory>\n{block}\n</memory>"


class Rememberer(Agent):
    """An agent that writes down what its tools were called with."""

    def __init__(self, **memory: Any) -> None:
        super().__init__(instructions=instructions(**memory))
        self.calls: list[tuple[str, Any]] = []
        self.broken = False

    def note(self, name: str, value: object) -> str:
        """Keep a call, or fail as a tool fails."""
        if self.broken:
            raise ToolError("not now")
        self.calls.append((name, value))
        return "done"

    @function_tool
    async def remember_name(self, name: str) -> str:
        """Remember a name."""
        return self.note("remember_name", name)

    @function_tool
    async def remember_fact(self, fact: str) -> str:
        """Remember a fact."""
        return self.note("remember_fact", fact)

    @function_tool
    async def set_language(self, language: Literal["en", "es", "de", "fr"]) -> str:
        """Speak another language."""
        return self.note("set_language", language)

    @function_tool
    async def forget_me(self, confirmed: bool) -> str:  # noqa: FBT001  (called by name)
        """Forget everything."""
        return self.note("forget_me", confirmed)


async def ask(agent: Agent, *said: str) -> list[str]:
    """Say one thing after the other to `agent`; return what it answered to each."""
    answers = []
    async with AgentSession(llm=RuleLLM()) as agent_session:
        await agent_session.start(agent)
        for words in said:
            result: RunResult[None] = await agent_session.run(user_input=words)
            message = result.events[-1].item
            assert isinstance(message, ChatMessage)
            answers.append(message.text_content or "")
    return answers


async def complete(chat_ctx: ChatContext) -> str:
    """Return what the model says to `chat_ctx`, without tools."""
    return (await RuleLLM().chat(chat_ctx=chat_ctx).collect()).text


@pytest.mark.parametrize(
    ("said", "call", "answer"),
    [
        ("My name is Maria", ("remember_name", "Maria"), EN.nice_to_meet.format(name="Maria")),
        (
            "Remember that my cat is called Tom",
            ("remember_fact", "my cat is called Tom"),
            "All right, I will remember that your cat is called Tom.",
        ),
        ("Speak Spanish", ("set_language", "es"), ES.language_set),
        ("Sprich Deutsch", ("set_language", "de"), DE.language_set),
        ("Parle français", ("set_language", "fr"), FR.language_set),
    ],
)
async def test_what_must_last_goes_through_a_tool(
    said: str, call: tuple[str, str], answer: str
) -> None:
    """A change is a function call, and its result is spoken, in the language that was asked for."""
    agent = Rememberer()
    assert await ask(agent, said) == [answer]
    assert agent.calls == [call]


@pytest.mark.parametrize(
    ("language", "said", "answer"),
    [
        ("es", "Me llamo María", ES.nice_to_meet.format(name="María")),
        ("de", "Ich heiße Jürgen", DE.nice_to_meet.format(name="Jürgen")),
        ("fr", "Je m'appelle Zoé", FR.nice_to_meet.format(name="Zoé")),
        (
            "es",
            "Recuerda que mi gato se llama Tom",
            "De acuerdo, recordaré que tu gato se llama Tom.",
        ),
        ("de", "Merk dir, dass ich Tee mag", "Gut, ich merke mir, dass du Tee magst."),
        ("de", "Merk dir: ich mag Tee", "Gut, ich merke mir: du magst Tee."),
        ("fr", "Retiens que j'aime le thé", "D'accord, je retiens ceci : tu aimes le thé."),
        ("es", "What is my name?", ES.name_unknown),
    ],
)
async def test_it_answers_in_the_language_in_force(language: str, said: str, answer: str) -> None:
    """The language of the memory is spoken, whatever language the question came in."""
    assert await ask(Rememberer(language=language), said) == [answer]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_knows_what_the_memory_says(language: str) -> None:
    """Name, facts and visits come from the instructions, in every language."""
    agent = Rememberer(
        visit=3, language=language, name="Maria", facts=["my cat is called Tom", "I like tea"]
    )
    name, facts, visits = await ask(
        agent, "What is my name?", "What do you know about me?", "How often was I here?"
    )
    phrases = PHRASES[language]
    assert name == phrases.your_name.format(name="Maria")
    assert "your cat is called Tom" in facts
    assert "you like tea" in facts
    assert "Maria" in facts
    assert visits == phrases.visits.format(visit=3)


async def test_it_knows_nothing_of_a_stranger() -> None:
    """Without a memory it says so, and guesses nothing."""
    answers = await ask(
        Agent(instructions="Be kind."),
        "Who am I?",
        "What did I ask you to remember?",
        "How often was I here?",
        "What did we talk about?",
    )
    assert answers == [
        EN.name_unknown,
        EN.nothing_kept,
        EN.first_visit,
        EN.talked_about.format(
            topics="your name; what I remember for you; how often you have been here"
        ),
    ]


async def test_a_name_alone_answers_the_question_for_it() -> None:
    """A participant who is asked for a name may just say it."""
    agent = Rememberer()
    await ask(agent, "What is my name?", "Maria")
    assert agent.calls == [("remember_name", "Maria")]


async def test_forgetting_needs_a_yes() -> None:
    """It asks first; only a yes right after the question erases."""
    agent = Rememberer()
    answers = await ask(agent, "Forget me", "Yes, please.")
    assert answers == [EN.confirm_forgetting, EN.forgotten]
    assert agent.calls == [("forget_me", True)]


@pytest.mark.parametrize(
    ("second", "answer"), [("No", EN.not_forgotten), ("What is my name?", EN.name_unknown)]
)
async def test_anything_but_yes_forgets_nothing(second: str, answer: str) -> None:
    """A no keeps everything, another question does too, and a later yes means nothing."""
    agent = Rememberer()
    answers = await ask(agent, "Forget me", second, "Yes")
    assert answers[1] == answer
    assert agent.calls == []


async def test_an_unheard_answer_asks_again() -> None:
    """Noise after the question neither erases nor drops it."""
    agent = Rememberer()
    answers = await ask(agent, "Forget me", "[inaudible]", "Yes")
    assert answers[1] == EN.confirm_forgetting
    assert agent.calls == [("forget_me", True)]


async def test_a_question_cut_short_does_not_count() -> None:
    """A yes after a question that was interrupted before its end erases nothing."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="user", content="Forget me")
    chat_ctx.add_message(role="assistant", content="Shall I forget", interrupted=True)
    chat_ctx.add_message(role="user", content="Yes")
    tools = ToolContext(Rememberer().tools).flatten()
    response = await RuleLLM().chat(chat_ctx=chat_ctx, tools=tools).collect()
    assert response.tool_calls == []


async def test_a_failed_tool_is_admitted() -> None:
    """It does not claim what a tool did not do."""
    agent = Rememberer()
    agent.broken = True
    assert await ask(agent, "My name is Maria") == [EN.tool_failed]


@pytest.mark.parametrize(
    "said", ["My name is Maria", "Remember I like tea", "Speak French", "Forget me"]
)
async def test_without_the_tool_it_says_it_cannot(said: str) -> None:
    """Nothing is promised that no tool can keep."""
    assert await ask(Agent(instructions=instructions()), said) == [EN.no_tool]


async def test_the_newest_instructions_count() -> None:
    """A memory that was written later replaces an earlier one."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="system", content=instructions(name="Tom"))
    chat_ctx.add_message(role="system", content=instructions(name="Maria"))
    chat_ctx.add_message(role="system", content="Be brief.")
    chat_ctx.add_message(role="user", content="What is my name?")
    assert await complete(chat_ctx) == EN.your_name.format(name="Maria")


async def test_topics_come_from_the_conversation() -> None:
    """It tells what was spoken of, in the user's words where it has no name for it."""
    *_, answer = await ask(
        Rememberer(),
        "Hello",
        "[inaudible]",
        "Remember that my cat is called Tom",
        "I want a pizza with extra cheese!",
        "What did we talk about?",
    )
    assert answer == (
        "We talked about what you told me: your cat is called Tom; this, in your words: I want a"
        " pizza with extra cheese."
    )


async def test_an_earlier_conversation_is_known_from_memory() -> None:
    """At the start of a conversation, what was said last time is all there is to tell."""
    agent = Rememberer(visit=2, last_query="I want a pizza.", last_response="No.")
    assert await ask(agent, "What did we talk about?") == [
        EN.last_time.format(query="I want a pizza")
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "said",
    ["hello", "help", "thank you", "goodbye", "yes", "no", "stop", "[inaudible]", "who are you",
     "how are you", "speak Chinese", "say that again", "Tell me about quantum physics", "?"],
)  # fmt: skip
async def test_everything_has_an_answer(language: str, said: str) -> None:
    """Whatever is said, something short is answered, without any unfilled place."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="system", content=instructions(language=language, name="Maria"))
    chat_ctx.add_message(role="user", content=said)
    answer = await complete(chat_ctx)
    assert 3 < len(answer) < 250
    assert "{" not in answer


async def test_the_unknown_is_answered_in_different_ways() -> None:
    """The same question gets the same answer; other questions get others."""
    answers = set()
    for text in ("one plus one", "tell me a joke", "what is love", "the weather", "a b c", "why"):
        chat_ctx = ChatContext.empty()
        chat_ctx.add_message(role="user", content=text)
        first, second = await complete(chat_ctx), await complete(chat_ctx)
        assert first == second
        assert first in EN.other
        answers.add(first)
    assert len(answers) > 1


async def test_it_speaks_when_nobody_has_spoken() -> None:
    """A reply can be generated without a user's turn: empty context, or the agent spoke last."""
    empty = ChatContext.empty()
    assert await complete(empty) == EN.listening
    after_agent = ChatContext.empty()
    after_agent.add_message(role="system", content=instructions(name="Maria"))
    after_agent.add_message(role="assistant", content="Welcome back.")
    assert await complete(after_agent) == EN.listening_named.format(name="Maria")


async def test_an_unanswered_turn_is_answered_before_later_instructions() -> None:
    """Instructions for one reply stand behind the user's words and do not hide them."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="user", content="Who am I?")
    chat_ctx.add_message(role="system", content="Answer the last question.")
    assert await complete(chat_ctx) == EN.name_unknown


@pytest.mark.parametrize("arguments", ["", "[]", "{}", '{"language": "xx"}', '{"language": []}'])
async def test_a_restored_call_with_strange_arguments_is_harmless(arguments: str) -> None:
    """A tool call from a stored conversation need not be one of ours."""
    chat_ctx = ChatContext.empty()
    chat_ctx.items.append(FunctionCall(call_id="1", name="set_language", arguments=arguments))
    chat_ctx.items.append(
        FunctionCallOutput(call_id="1", name="set_language", output="", is_error=False)
    )
    assert await complete(chat_ctx) == EN.language_set


async def test_a_very_long_text_is_answered() -> None:
    """10,000 characters are read in part and never quoted in full."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="user", content="word " * 2000)
    chat_ctx.add_message(role="assistant", content="Hm.")
    chat_ctx.add_message(role="user", content="What did we talk about?")
    assert len(await complete(chat_ctx)) < 200


async def test_the_answer_comes_in_pieces_with_usage() -> None:
    """It streams as a real model does: several deltas, then what it used."""
    chat_ctx = ChatContext.empty()
    chat_ctx.add_message(role="user", content="help me")
    async with RuleLLM().chat(chat_ctx=chat_ctx) as stream:
        chunks = [chunk async for chunk in stream]
    deltas = [chunk.delta.content for chunk in chunks if chunk.delta]
    assert len(deltas) > 3
    assert "".join(text or "" for text in deltas) == EN.help
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, len(EN.help.split()))
    assert len({chunk.id for chunk in chunks}) == 1
