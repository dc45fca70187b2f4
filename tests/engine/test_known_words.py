"""What a request knows of the words of its take, from the command line and the protocol to the plan."""

from pathlib import Path

import numpy as np
import pytest

from rendering.engine.__main__ import main
from rendering.engine.contract import Limits, RenderRequest, to_json
from rendering.engine.demo import write_wav
from rendering.engine.media.probe import probe
from rendering.engine.render import Said, Take, known_sounds, request_from_json
from rendering.engine.voice.speak import speak

TEXT = "Pam brings her big blue map, and Bob puts many apples into the bamboo basket."


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    path = tmp_path_factory.mktemp("take") / "take.wav"
    said = speak(TEXT, "en", variant="f5", words_per_minute=170)
    write_wav(path, said.audio, said.rate)
    return Take(probe(path, Limits()), np.asarray(said.audio, np.float32))


def request(**known: object) -> RenderRequest:
    here = Path("nowhere")
    return RenderRequest(footage=here, analysis=here, audio=here, out=here, **known)  # type: ignore[arg-type]


def test_known_words_survive_the_protocol() -> None:
    asked = request(text=TEXT, language="en-gb", phonemes=((0.0, 0.1, ""), (0.1, 0.2, "m")))
    assert request_from_json(to_json(asked)) == asked
    bare = dict.fromkeys(("footage", "analysis", "audio", "out"), "nowhere")
    assert request_from_json(bare) == request()


def test_times_win_over_a_text_and_nothing_is_known_of_nothing(take: Take) -> None:
    times = ((0.0, 0.1, ""), (0.1, 0.2, "m"))
    assert known_sounds(request(text=TEXT, phonemes=times), take) == Said(times, 1.0)
    assert known_sounds(request(), take) == known_sounds(request(text=" \n"), take) == Said((), None)


def test_the_text_gives_the_sounds_if_it_is_said_and_is_reported_if_it_is_not(take: Take) -> None:
    said = known_sounds(request(text=TEXT), take)
    assert said.followed == 1.0
    assert sum(sound.strip("ˈˌ")[:1] in "pbm" for _, _, sound in said.phonemes if sound) >= 14
    other = known_sounds(request(text="我们明天去看北方的冬天,那里非常冷,你要多穿衣服。", language="zh"), take)
    assert other.phonemes == ()
    assert other.followed is not None
    assert other.followed < 0.5


def test_of_a_text_that_no_voice_reads_nothing_is_claimed(take: Take) -> None:
    assert known_sounds(request(text=TEXT, language="english"), take) == Said((), None)


@pytest.mark.parametrize(("content", "words"), [(b"\xff\xfe\x00", "not a text file"), (None, "No such file")])
def test_a_text_that_cannot_be_read_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    text = tmp_path / "words.txt"
    if content is not None:
        text.write_bytes(content)
    assert main(["render", "film.mp4", "take.wav", "-o", str(tmp_path / "out.mp4"), "--text", str(text)]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert "words.txt" in told
