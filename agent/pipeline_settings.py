"""Settings of the pipelines: which models, whose, and with which keys."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Speaker = Literal["demo", "livekit", "openai", "deepgram"]
"""Who hears or speaks."""

NO_KEY: Final = "none"
"""What is sent as a key to a server of one's own that asks for none."""


class PipelineSettings(BaseSettings):
    """Which models an agent hears, thinks and speaks with."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    agent_pipeline: Literal["demo", "livekit", "openai", "openai-realtime"] = "demo"
    """Which speech and language models: ``demo`` needs no keys and no network."""
    agent_stt: Speaker | None = None
    """Who hears, instead of the pipeline's own."""
    agent_tts: Speaker | None = None
    """Who speaks, instead of the pipeline's own."""
    agent_stt_model: str | None = None
    agent_llm_model: str | None = None
    agent_tts_model: str | None = None
    agent_tts_voice: str | None = None
    """A voice of that model, where it has several; also a realtime model's."""
    agent_llm_timeout_s: float = Field(default=10.0, gt=0)
    """How long the language model may take to begin its answer, in seconds."""
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """An OpenAI-compatible server (Ollama, vLLM, speaches); it may ask for no key."""
    agent_speech_url: str | None = None
    """Another such server for speech to text and back."""
    agent_speech_key: SecretStr | None = None
    """Its key. The key of one server is never sent to the other."""
    deepgram_api_key: SecretStr | None = None
    deepgram_url: str = "https://api.deepgram.com/v1"

    @property
    def hears(self) -> Speaker | None:
        """Who turns speech into text; ``None`` where the language model does."""
        return self.agent_stt or _own(self.agent_pipeline)

    @property
    def speaks(self) -> Speaker | None:
        """Who turns text into speech; ``None`` where the language model does."""
        return self.agent_tts or _own(self.agent_pipeline)

    @property
    def language_server(self) -> tuple[str | None, str]:
        """Where an OpenAI language model is asked (``None``: at OpenAI), and with which key."""
        return self.openai_base_url, _secret(self.openai_api_key)

    @property
    def speech_server(self) -> tuple[str | None, str]:
        """Where OpenAI's speech models are asked, and with which key."""
        if self.agent_speech_url is None:
            return self.language_server
        return self.agent_speech_url, _secret(self.agent_speech_key)

    @model_validator(mode="after")
    def _realtime_hears_and_speaks(self) -> Self:
        if self.agent_pipeline == "openai-realtime" and (self.agent_stt or self.agent_tts):
            raise ValueError(
                "AGENT_PIPELINE=openai-realtime hears and speaks itself: unset AGENT_STT and "
                "AGENT_TTS, or set AGENT_PIPELINE=openai"
            )
        return self

    @model_validator(mode="after")
    def _keys_are_there(self) -> Self:
        asked = {self.agent_pipeline, self.hears, self.speaks}
        if "deepgram" in asked and self.deepgram_api_key is None:
            raise ValueError("DEEPGRAM_API_KEY: Deepgram is asked to hear or speak; give its key")
        servers = {
            *([self.language_server] if self.agent_pipeline.startswith("openai") else []),
            *([self.speech_server] if "openai" in (self.hears, self.speaks) else []),
        }
        if (None, NO_KEY) in servers:
            raise ValueError(
                "OPENAI_API_KEY: OpenAI is asked, which wants a key; give it, or set "
                "OPENAI_BASE_URL to a compatible server (Ollama, vLLM, speaches)"
            )
        return self


def _own(pipeline: str) -> Speaker | None:
    owners: dict[str, Speaker] = {"demo": "demo", "livekit": "livekit", "openai": "openai"}
    return owners.get(pipeline)


def _secret(key: SecretStr | None) -> str:
    return NO_KEY if key is None else key.get_secret_value()
