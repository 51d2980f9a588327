"""Settings of the pipelines: models, their providers, and keys."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Speaker = Literal["demo", "livekit", "openai", "deepgram"]
"""A provider of speech to text or text to speech."""

NO_KEY: Final = "none"
"""The key for a server of your own that asks for none."""


class PipelineSettings(BaseSettings):
    """The models with which an agent hears, thinks and speaks."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    agent_pipeline: Literal["demo", "livekit", "openai", "openai-realtime"] = "demo"
    """The provider of all models. ``demo`` needs no keys and no network."""
    agent_stt: Speaker | None = None
    """Another provider of speech to text."""
    agent_tts: Speaker | None = None
    """Another provider of text to speech."""
    agent_stt_model: str | None = None
    agent_llm_model: str | None = None
    agent_tts_model: str | None = None
    agent_tts_voice: str | None = None
    """A voice of that model, or of a realtime model."""
    agent_llm_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds within which the language model must begin its answer."""
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """An OpenAI-compatible server (Ollama, vLLM, speaches). It may need no key."""
    agent_speech_url: str | None = None
    """Another such server for speech to text and back."""
    agent_speech_key: SecretStr | None = None
    """Its key. The key of one server is never sent to the other."""
    deepgram_api_key: SecretStr | None = None
    deepgram_url: str = "https://api.deepgram.com/v1"

    @property
    def hears(self) -> Speaker | None:
        """The provider of speech to text; ``None`` if the language model hears."""
        return self.agent_stt or _own(self.agent_pipeline)

    @property
    def speaks(self) -> Speaker | None:
        """The provider of text to speech; ``None`` if the language model speaks."""
        return self.agent_tts or _own(self.agent_pipeline)

    @property
    def language_server(self) -> tuple[str | None, str]:
        """Address (``None`` for OpenAI itself) and key of the OpenAI language model."""
        return self.openai_base_url, _secret(self.openai_api_key)

    @property
    def speech_server(self) -> tuple[str | None, str]:
        """Address (``None`` for OpenAI itself) and key of OpenAI's speech models."""
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
            raise ValueError("DEEPGRAM_API_KEY: Deepgram hears or speaks; give its key")
        servers = {
            *([self.language_server] if self.agent_pipeline.startswith("openai") else []),
            *([self.speech_server] if "openai" in (self.hears, self.speaks) else []),
        }
        if (None, NO_KEY) in servers:
            raise ValueError(
                "OPENAI_API_KEY: OpenAI needs a key; give it, or set "
                "OPENAI_BASE_URL to a compatible server (Ollama, vLLM, speaches)"
            )
        return self


def _own(pipeline: str) -> Speaker | None:
    owners: dict[str, Speaker] = {"demo": "demo", "livekit": "livekit", "openai": "openai"}
    return owners.get(pipeline)


def _secret(key: SecretStr | None) -> str:
    return NO_KEY if key is None else key.get_secret_value()
