"""Training: it learns, it can be stopped at any step and goes on to the same weights, it does not go astray."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from rendering.engine.face.lips import LipSpace
from rendering.engine.neural import losses
from rendering.engine.neural import train as training
from rendering.engine.neural.batches import Batches
from rendering.engine.neural.crops import CONDITION, SIZES
from rendering.engine.neural.footage import HELD_OUT, collect, lenders
from rendering.engine.neural.net import INPUTS, PARAMETERS, MouthNet, composite, reduction
from rendering.engine.neural.train import TIMED, Initial, Schedule, rate_at, train

SIZE = 64
SHORT = Schedule(steps=6, batch=2, warm_up=2, validate_every=3, checkpoint_every=2)


@pytest.fixture(scope="module")
def lessons(filmed):
    lips = LipSpace.fit(filmed.track)
    return collect(filmed.video, filmed.info, filmed.patches.parent, filmed.track, lips, SIZE)


@pytest.fixture(autouse=True)
def one_thread():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


class StoppedError(Exception):
    pass


def _stop_at(step):
    def report(stage, done, total):
        if stage == "train" and done == step:
            raise StoppedError

    return report


def test_lessons_are_squares_with_another_frames_mouth_beside_them(filmed, lessons):
    side = SIZE + 2 * lessons.padding
    assert lessons.pictures.shape == lessons.lent.shape == (len(lessons), side, side, 3)
    assert (np.diff(lessons.frames) > 0).all()
    middle = np.s_[:, side // 3 : side, side // 4 : 3 * side // 4]
    gap = np.abs(lessons.pictures[middle].astype(int) - lessons.lent[middle])[lessons.lent[middle].max(axis=-1) > 0]
    assert 0.5 < gap.mean() < 12  # alike, and not the same


def test_one_unbroken_stretch_is_held_out_and_lends_nobody_a_mouth(filmed, lessons):
    places = np.flatnonzero(lessons.held_out)
    assert (np.diff(places) == 1).all()
    assert 0.05 < lessons.held_out.mean() < 0.15
    lips = LipSpace.fit(filmed.track)
    block = np.full(len(filmed.track), -1)
    block[lessons.frames] = np.arange(len(lessons)) * 10 // len(lessons)
    inside = np.full((len(filmed.track), 27), 128, np.uint8)
    chosen = lenders(filmed.track, lips, inside, lips.encode(filmed.track), block)
    followed = block >= 0
    assert (block[chosen[followed]] != block[followed]).all()
    assert (block[chosen[followed]] != HELD_OUT).all()


def test_the_same_step_is_taught_the_same_and_never_a_held_out_frame(lessons):
    first, second = (Batches(lessons, seed=3, size=4) for _ in range(2))
    for step in (0, 1):
        (a, pairs), (b, _) = first.at(step), second.at(step)
        assert pairs == bool(step)
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
        assert a.seen.shape == (4, INPUTS, SIZE, SIZE)
        assert a.condition.shape == (4, CONDITION)
        assert a.seen.min() >= 0
        assert max(a.seen.max(), a.truth.max()) <= 1
    assert not set(first.taught) & set(first.held_out)
    assert any((x != y).any() for x, y in zip(first.at(0)[0], Batches(lessons, seed=4, size=4).at(0)[0], strict=True))


def test_nothing_of_what_the_hole_covers_is_seen(lessons):
    batch = Batches(lessons, seed=0, size=2).plain(np.array([5, 50]))
    covered = batch.seen[:, 3] == 1
    assert covered.mean() > 0.15
    assert (batch.seen[:, :3].transpose(0, 2, 3, 1)[covered] == 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_network_has_as_many_weights_as_it_is_said_to(size):
    with torch.device("meta"):
        net = MouthNet(reduction(size))
        drawn = net(torch.empty(1, INPUTS, size, size), torch.empty(1, CONDITION))
    assert sum(part.numel() for part in net.parameters()) == PARAMETERS[reduction(size)]
    assert drawn.shape == (1, 3, size, size)


def test_what_lies_around_the_hole_stays():
    seen = torch.rand(2, INPUTS, SIZE, SIZE)
    seen[:, 3] = 0
    seen[:, 3, 20:40, 20:40] = 1
    seen[:, :3] *= 1 - seen[:, 3:4]
    made = composite(MouthNet(2)(seen, torch.zeros(2, CONDITION)), seen)
    outside = seen[:, 3] == 0
    assert torch.equal(made.permute(0, 2, 3, 1)[outside], seen[:, :3].permute(0, 2, 3, 1)[outside])


def test_half_of_the_lent_picture_is_kept_at_first_and_nothing_where_there_is_none():
    net = MouthNet(2)
    torch.nn.init.zeros_(net.leave.weight)
    torch.nn.init.zeros_(net.leave.bias)
    seen = torch.rand(1, INPUTS, SIZE, SIZE) * 0.5 + 0.4
    seen[:, 7:, :, :32] = 0
    drawn = net(seen, torch.zeros(1, CONDITION))
    assert torch.allclose(drawn[..., :32], torch.full((1, 3, SIZE, 32), 0.5))
    assert torch.allclose(drawn[..., 32:], (0.5 + seen[:, 7:, :, 32:]) / 2)


def test_the_loss_is_nothing_for_the_truth_and_counts_only_the_hole(lessons):
    seen, _, truth = (torch.from_numpy(part) for part in Batches(lessons, seed=0, size=2).plain(np.array([5, 6])))
    assert float(losses.total(truth, truth, seen, pairs=True)) == pytest.approx(0, abs=1e-5)
    wrong_in, wrong_out = truth.clone(), truth.clone()
    mouth = losses.mouth_area(seen) > 0
    hole = seen[:, 3:4] > 0
    wrong_in[mouth.expand_as(truth)] += 0.1
    wrong_out[(~hole).expand_as(truth)] += 0.1
    weight = losses.weights(seen)
    assert float(losses.mean((wrong_out - truth).abs(), weight)) == 0
    assert float(losses.total(wrong_in, truth, seen, pairs=False)) > 0.02


def test_a_mouth_that_trembles_costs_more_than_one_that_is_wrong_alike(lessons):
    seen, _, truth = (torch.from_numpy(part) for part in Batches(lessons, seed=0, size=2).plain(np.array([5, 6])))
    weight, off = losses.weights(seen), torch.full_like(truth, 0.05)
    steady = losses.movement_loss(truth + off, truth, weight)
    trembling = losses.movement_loss(truth + off * torch.tensor([1.0, -1.0])[:, None, None, None], truth, weight)
    assert float(steady) < 1e-6
    assert float(trembling) > 0.04


def test_training_improves_mouths_that_it_never_saw(lessons, tmp_path):
    seen = []
    schedule = Schedule(steps=30, batch=4, warm_up=3, average=0.9, validate_every=15, checkpoint_every=30)
    trained = train(lessons, tmp_path / "t", schedule, show=seen.append)
    before, after = (psnr for _, psnr in trained.history)
    untaught = train(lessons, tmp_path / "u", dataclasses.replace(schedule, max_seconds=0))
    assert untaught.steps == 0
    assert before > untaught.psnr + 1
    assert after > before
    assert trained.psnr == after
    assert np.mean([each.loss for each in seen[-10:]]) < np.mean([each.loss for each in seen[:10]])
    assert [each.step for each in seen if each.picture is not None] == [15, 30]
    assert seen[14].picture.dtype == np.uint8
    assert seen[14].picture.shape[0] == 3 * SIZE
    assert seen[-1].eta_s == 0


def test_a_training_that_was_stopped_ends_in_the_same_weights(lessons, tmp_path):
    unbroken = train(lessons, tmp_path / "unbroken", SHORT)
    for step in (3, 5):  # between two checkpoints, twice
        with pytest.raises(StoppedError):
            train(lessons, tmp_path / "broken", SHORT, report=_stop_at(step))
    steps = []
    resumed = train(lessons, tmp_path / "broken", SHORT, show=lambda progress: steps.append(progress.step))
    assert steps == [5, 6]
    assert resumed.history == unbroken.history
    for name, value in unbroken.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], value), name


def test_a_checkpoint_of_another_schedule_is_left_aside(lessons, tmp_path):
    train(lessons, tmp_path / "t", SHORT)
    steps = []
    train(lessons, tmp_path / "t", dataclasses.replace(SHORT, seed=1), show=lambda each: steps.append(each.step))
    assert steps[0] == 1


@pytest.fixture
def clock(monkeypatch):
    """The time, which only learning a step takes: one second, or what is written into the clock."""

    class Clock:
        now, step_s = 0.0, 1.0

        def monotonic(self):
            return self.now

    clock, learn = Clock(), training._Training._learn

    def learn_for_a_while(self):
        clock.now += clock.step_s
        return learn(self)

    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training._Training, "_learn", learn_for_a_while)
    return clock


def test_a_training_without_time_for_all_steps_takes_fewer_and_slows_down_to_the_end(lessons, tmp_path, clock):
    short = Schedule(steps=500, batch=2, warm_up=5, checkpoint_every=5, max_seconds=TIMED + 6)
    told = []
    unbroken = train(lessons, tmp_path / "unbroken", short, show=told.append)
    assert told[0].eta_s == short.max_seconds - 1, "no more is left than may be spent"
    assert told[-1].eta_s == 0
    assert unbroken.steps == int(0.9 * (TIMED + 6)) == TIMED + 3
    clock.step_s = 0.5
    with pytest.raises(StoppedError):
        train(lessons, tmp_path / "broken", short, report=_stop_at(TIMED + 2))
    planned = torch.load(tmp_path / "broken")["steps"]
    clock.step_s = 0.9
    seen = []
    resumed = train(lessons, tmp_path / "broken", short, show=seen.append)
    assert (resumed.steps, seen[-1].step) == (planned, planned), "another machine goes on with the same training"
    assert rate_at(planned - 1, training.shortened(short, planned)) < 0.1 * short.rate


def test_a_training_on_a_machine_that_slows_down_ends_all_the_same(lessons, tmp_path, clock):
    schedule = Schedule(steps=500, batch=2, warm_up=5, max_seconds=30)
    slower, seen = (lambda *_: setattr(clock, "step_s", clock.step_s * 1.05)), []
    trained = train(lessons, tmp_path / "t", schedule, report=slower, show=seen.append)
    assert trained.steps < 30
    assert seen[-1].picture is not None, "what came of it is shown all the same"
    assert seen[-1].eta_s == 0
    assert clock.now < 1.4 * 30


def test_who_is_interrupted_again_and_again_gets_on(lessons, tmp_path, clock):
    clock.step_s = 8.0
    schedule = dataclasses.replace(SHORT, checkpoint_every=100)
    with pytest.raises(StoppedError):
        train(lessons, tmp_path / "t", schedule, report=_stop_at(3))
    steps = []
    train(lessons, tmp_path / "t", schedule, show=lambda each: steps.append(each.step))
    assert steps[0] == 3, "kept after two steps: 16 seconds"


def test_what_the_device_has_no_memory_for_at_once_is_learnt_in_parts(lessons, tmp_path, monkeypatch):
    schedule = dataclasses.replace(SHORT, batch=8)
    whole = train(lessons, tmp_path / "whole", schedule)
    asked, forward = [], MouthNet.forward

    def tight(self, seen, condition):
        if torch.is_grad_enabled():
            asked.append(len(seen))
            if len(seen) > 2:
                raise torch.OutOfMemoryError("too many")
        return forward(self, seen, condition)

    monkeypatch.setattr(MouthNet, "forward", tight)
    parted = train(lessons, tmp_path / "parted", schedule)
    assert asked[:3] == [8, 4, 2]
    assert set(asked[3:]) == {2}, "it stays so"
    assert parted.psnr == pytest.approx(whole.psnr, abs=0.1)
    monkeypatch.setattr(MouthNet, "forward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("not even one")))
    with pytest.raises(torch.OutOfMemoryError):
        train(lessons, tmp_path / "none", schedule)


def test_a_training_begins_with_the_weights_of_another(lessons, tmp_path):
    first = train(lessons, tmp_path / "first", SHORT)
    at_once = dataclasses.replace(SHORT, max_seconds=0)
    initial = Initial("first", first.net.state_dict())
    assert train(lessons, tmp_path / "t", at_once, initial=initial).psnr == first.psnr
    assert train(lessons, tmp_path / "u", at_once).psnr != first.psnr
    steps = []
    train(lessons, tmp_path / "first", SHORT, initial=initial, show=lambda each: steps.append(each.step))
    assert steps[0] == 1, "a checkpoint that began with others is left aside"


def test_a_training_that_goes_astray_is_taken_back(lessons, tmp_path):
    schedule = dataclasses.replace(SHORT, steps=8, rate=1e4, clip=1e9)
    trained = train(lessons, tmp_path / "t", schedule)
    assert trained.rolled_back > 0
    assert all(bool(value.isfinite().all()) for value in trained.net.state_dict().values())


def test_the_rate_rises_and_falls_to_its_last():
    schedule = Schedule(steps=100, warm_up=10, rate=1.0, last_rate=0.1)
    rates = [rate_at(step, schedule) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert all(np.diff(rates[10:]) <= 0)


def test_who_renders_without_it_loads_no_torch_for_it():
    code = "import sys, rendering.engine.backends, rendering.engine.neural.gate, rendering.engine.neural.footage\n"
    done = subprocess.run([sys.executable, "-c", f"{code}sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0
