"""RUN and RUN_STORED: none is executed twice and none is lost, whatever arrives; bad frames do nothing.

Three units share the work, and each proof assumes of the others what their own proofs claim: the command processor
executes frames in order, the sample intake gives each good RUN to the core once, the reply store answers each once.
"""

import pytest
from amaranth import Cat, Mux, Signal
from proof import Proof, mutant
from streams import assume_held, claim_held, moved

from opzo.hw.link.command import CommandProcessor
from opzo.hw.link.dispatcher import BLOCKS, SAMPLES, SESSION, executors_of
from opzo.hw.link.sample_intake import SampleIntake
from opzo.spec.commands import RUN_COMMANDS, STATUS_COMMANDS, Command, Status
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=2, words=4, classes=1)


def processor(unit: CommandProcessor, *, with_store: bool = False) -> Proof:
    """Frames, the answers of the executors and of the reply store are free: any bytes, any order, any repetition.

    With ``with_store`` the device has a sample store, and a RUN_STORED is a RUN, too.
    """
    proof = Proof(unit)
    run_commands, status_commands = (each if with_store else each[:1] for each in (RUN_COMMANDS, STATUS_COMMANDS))
    inside, m = proof.inside, proof.m
    frame, store = unit.frame.p, unit.store
    assume_held(proof, "frame", unit.frame)
    # An executor is busy from the cycle after start until after done, which comes once.
    working, dones = [], []
    for number, executor in enumerate(unit.executors):
        busy, answered = Signal(name=f"busy_{number}"), Signal(name=f"answered_{number}")
        with m.If(executor.start):
            m.d.sync += [busy.eq(1), answered.eq(0)]
        with m.Elif(busy & (executor.done | answered) & ~proof.any(1, f"goes_on_{number}")):
            m.d.sync += busy.eq(0)
        with m.If(executor.done):
            m.d.sync += answered.eq(1)
        proof.assume(f"busy_{number}", executor.busy == busy)
        proof.assume(f"done_{number}", ~executor.done | (busy & ~answered))
        working.append(busy & ~answered)
        dones.append(executor.done)
    session_done = unit.executors[SESSION].done & ~unit.executors[SESSION].is_second
    proof.assume("begin", ~unit.begin | session_done)
    begun = Signal()
    with m.If(unit.begin):
        m.d.sync += begun.eq(1)
    proof.assume("active", unit.active == begun)

    # The number of the next frame to be executed, from what is executed.
    expected = Signal(8)
    with m.If(unit.begin):
        m.d.sync += expected.eq(frame.seq + 1)
    with m.Elif(store.store & (store.executed.seq == expected)):
        m.d.sync += expected.eq(expected + 1)
    runs = unit.executors[SAMPLES].start & unit.executors[SAMPLES].is_second
    if with_store:
        runs |= unit.executors[BLOCKS].start
    starts = Cat(executor.start for executor in unit.executors)
    is_run = frame.code.matches(*run_commands)
    # RUN frames executed, and any stored as executed, since the frame was offered.
    ran, stored = Signal(), Signal()
    with m.If(runs):
        m.d.sync += ran.eq(1)
    with m.If(store.store):
        m.d.sync += stored.eq(1)
    with m.If(moved(unit.frame)):
        m.d.sync += [ran.eq(0), stored.eq(0)]
    proof.claim("only_good_frames", ~starts.any() | (unit.frame.valid & frame.good))
    proof.claim("only_in_a_session", ~starts[1:].any() | begun)
    proof.claim("run_in_order", ~runs | (is_run & (frame.seq == expected)))
    proof.claim("run_once_a_frame", ~runs | ~ran)
    due = unit.frame.valid & frame.good & begun & is_run & ((frame.seq == expected) | ran)
    proof.claim("none_is_dropped", ~(moved(unit.frame) & due) | (ran & stored))
    proof.claim("stored_once", ~store.store | ~stored)
    proof.claim("stored_as_it_is", ~store.store | (store.executed.as_value()[:16] == Cat(frame.seq, frame.code)))
    proof.claim("run_is_counted", ~(moved(unit.frame) & ran) | (expected == (frame.seq + 1)[:8]))
    # Whether a RUN is unanswered in the place of the frame: in the same frame that rises only by store and resend.
    other = proof.before(moved(unit.frame) | ~unit.frame.valid)
    rises = proof.before(store.unanswered | store.store | store.resend)
    proof.assume("unanswered", ~store.unanswered | rises | other)
    proof.assume("idle", ~store.idle | ~store.unanswered)
    proof.claim("place_is_free", ~store.store | ~store.unanswered)
    # What the store has in that place stays the same.
    kept = Cat(store.known, store.found)
    proof.assume("kept", other | proof.before(store.store) | (proof.before(kept) == kept))
    answer = store.found.code.matches(*run_commands) & (store.found.status == Status.OK)
    proof.claim("resends_answers", ~store.resend | (store.known & answer & ~store.unanswered & ~store.store))

    # A RUN that the solver chooses: all 256 numbers are executed before its number comes again.
    number, watching, others = proof.constant(8, "number"), Signal(), Signal(9)
    choose = proof.any(1, "choose")
    with m.If(store.store & (store.executed.seq == expected) & watching):
        m.d.sync += others.eq(Mux(others == 256, 256, others + 1))
    with m.If(runs & (frame.seq == number) & choose & ~watching):
        m.d.sync += [watching.eq(1), others.eq(0)]
    with m.If(unit.begin):
        m.d.sync += watching.eq(0)
    proof.claim("never_twice", ~(runs & watching & (frame.seq == number)) | (others == 256))
    proof.lemma("distance", ~watching | (others == 256) | (expected == (number + others)[:8]))

    proof.lemma("expected", inside["expected"] == expected)
    state = {name: proof.state("fsm_state", name) for name in STATES}
    step = {name: proof.state("dispatcher.fsm_state", name) for name in ("WAIT", "LOAD", "START", "EXECUTE")}
    current, is_sync = inside["current"], inside["is_sync"]
    before = state["RECEIVE"] | state["LOOK_UP"] | state["ORDER"] | state["HOLD"]
    chosen, done = inside["dispatcher.chosen"], inside["dispatcher.done"]
    order = (frame.code == Command.SYNC) | (begun & ((frame.seq == expected) | ~is_run))
    proof.lemma("known_states", Cat(state.values()).any() & Cat(step.values()).any())
    proof.lemma("begun", begun | (state["RECEIVE"] | ~ran))
    proof.lemma("offered", state["RECEIVE"] | unit.frame.valid)
    proof.lemma("waits", ~before | step["WAIT"])
    for number, commands in executors_of(with_store).items():
        is_one = frame.code.matches(*commands)
        proof.lemma(f"chosen_{number}", state["RECEIVE"] | (chosen[number] == is_one))
        proof.lemma(f"works_{number}", ~working[number] | (state["EXECUTE"] & step["EXECUTE"] & chosen[number] & ~done))
        idle = state["EXECUTE"] & step["EXECUTE"] & ~done & chosen[number] & ~working[number]
        proof.lemma(f"idle_{number}", ~idle)
        proof.lemma(f"busy_{number}", ~unit.executors[number].busy | (step["EXECUTE"] & chosen[number]))
    proof.lemma("second", state["RECEIVE"] | (frame.code != Command.RUN) | inside["dispatcher.is_second"])
    proof.lemma("run_only", state["RECEIVE"] | ~chosen[SAMPLES] | (inside["dispatcher.is_second"] == is_run))
    proof.lemma("current", ~(state["ORDER"] | state["HOLD"]) | (current == (frame.seq == expected)))
    executes = state["EXECUTE"] & (frame.code != Command.SYNC)
    proof.lemma("still_current", ~executes | (current == (frame.seq == expected)))
    proof.lemma("sync", state["RECEIVE"] | (is_sync == (frame.code == Command.SYNC)))
    proof.lemma("in_order", ~(state["HOLD"] | state["EXECUTE"]) | (frame.good & (order | (executes == 0))))
    proof.lemma("held_in_order", ~(state["HOLD"] | executes) | order)
    proof.lemma("executes", ~state["EXECUTE"] | ~step["WAIT"] | (done & ~chosen.any()))
    proof.lemma("done", ~done | state["EXECUTE"])
    proof.lemma("dispatches", ~(step["LOAD"] | step["START"]) | (state["EXECUTE"] & ~done))
    proof.lemma("not_run", ~(before | step["LOAD"] | step["START"]) | (~ran & ~stored))
    proof.lemma("has_run", ~(state["EXECUTE"] & step["EXECUTE"]) | ((ran == is_run) & ~stored))
    proof.lemma("not_stored", ~state["EXECUTE"] | ~stored)
    proof.lemma("is_run", ~ran | (is_run & begun & unit.frame.valid & frame.good))
    proof.lemma("counts", ~(ran & stored) | (expected == (frame.seq + 1)[:8]))
    proof.lemma("runs", ~ran | stored | (state["EXECUTE"] & (frame.seq == expected)))
    after = ~before & ~state["EXECUTE"]
    proof.lemma("refused", ~(after & frame.good & begun & is_run) | ran | (frame.seq != expected))
    proof.lemma("free", ~state["EXECUTE"] | ~store.unanswered)
    looked_up = state["ORDER"] | state["HOLD"]
    known, only_status = inside["known"], inside["only_status"]
    proof.lemma("known", ~looked_up | (known == (store.known & (store.found.code == frame.code))))
    answers_status = (store.found.status != Status.OK) | frame.code.matches(*status_commands)
    proof.lemma("only_status", ~looked_up | (only_status == answers_status))
    proof.lemma("looked_up", ~looked_up | inside["unanswered"] | ~store.unanswered)
    proof.lemma("resends", ~state["RESEND"] | (store.known & answer & ~store.unanswered))
    proof.lemma("unanswered", ~state["HOLD"] | inside["unanswered"] | ~store.unanswered)
    proof.lemma("same_frame", ~(watching & (others == 0)) | (ran & ~stored))
    proof.lemma("others", others <= 256)
    proof.cover("run", moved(unit.frame) & ran & (expected == 7))
    proof.cover("refused", moved(unit.frame) & is_run & begun & frame.good & ~ran)
    return proof


STATES = ("RECEIVE", "LOOK_UP", "ORDER", "HOLD", "EXECUTE", "SEND", "RESEND", "SETTLE", "REPEAT", "RELEASE")


@pytest.mark.parametrize("with_store", [False, True])
def test_runs_are_executed_once_and_in_order(with_store: bool) -> None:
    """Unbounded, by induction over 2 cycles, for all frames in all orders, and all times executors take.

    A good RUN in its turn is executed once; a RUN out of turn, or a malformed frame, is not. The place in the reply
    store of a RUN that is executed is free. Before a number is executed again, the 255 others are.
    """
    proof = processor(CommandProcessor(stored=with_store), with_store=with_store)
    proof.induction(2)
    proof.reached(26)


def intake(unit: SampleIntake) -> Proof:
    """The command processor keeps to `ExecutorSignature`; payload, registers and the core's readiness are free."""
    proof = Proof(unit)
    m, command, run = proof.m, unit.command, unit.run
    # Whether the command was answered, answered with OK, and given to the core.
    answered, good, given = Signal(), Signal(), Signal()
    with m.If(command.start):
        m.d.sync += [answered.eq(0), good.eq(0), given.eq(0)]
    with m.Elif(command.done):
        m.d.sync += [answered.eq(1), good.eq(command.status == Status.OK)]
    with m.If(moved(run)):
        m.d.sync += given.eq(1)
    proof.assume("start", ~command.start | ~command.busy)
    for name in ("is_second", "short", "operands", "size"):
        value = getattr(command, name)
        proof.assume(f"stable_{name}", ~command.busy | (proof.before(value) == value))
    proof.assume("tag", ~command.busy | (proof.before(unit.tag) == unit.tag))
    proof.assume("clear", ~command.busy | ~unit.clear)
    is_run = command.is_second
    proof.claim("answers_once", ~command.done | (command.busy & ~answered))
    proof.claim("gives_after_ok", ~run.valid | (command.busy & is_run & answered & good & ~given))
    claim_held(proof, "run", run)
    claim_held(proof, "event", unit.event)
    proof.claim("tag", ~run.valid | (run.p.tag == unit.tag))
    ended = proof.before(command.busy) & ~command.busy
    proof.claim("answered", ~ended | answered)
    proof.claim("gives_each_good_run_once", ~ended | (given == (good & proof.before(is_run))))

    names = ("WAIT", "KIND", "INPUTS", "CLASSES", "TAKE_KIND", "TAKE_INPUTS", "LABEL")
    names += ("DECODE", "FINISH", "JUDGE", "DECIDE", "ANSWER", "SUBMIT")
    state = {name: proof.state("fsm_state", name) for name in names}
    proof.lemma("states", Cat(state.values()).any())
    late = state["FINISH"] | state["JUDGE"] | state["DECIDE"] | state["ANSWER"] | state["SUBMIT"] | state["WAIT"]
    proof.lemma("decoded", ~late | ~proof.inside["decoding"])
    proof.lemma("not_answered", state["WAIT"] | state["SUBMIT"] | (~answered & ~given))
    proof.lemma("submits", ~state["SUBMIT"] | (answered & good & is_run & ~given))
    proof.cover("given", moved(run))
    proof.cover("refused", command.done & is_run & (command.status == Status.BAD_LABEL))
    return proof


def test_each_good_run_is_given_to_the_core_once() -> None:
    """Unbounded, by induction over 6 cycles, which reach from the last byte to the answer.

    A RUN answered with OK goes to the core once, with its tag; any other command, or another answer, gives none.
    """
    proof = intake(SampleIntake(LIMITS))
    proof.induction(6)
    proof.reached(20)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("~is_run & latest", "latest", "run_in_order"),
        ("with m.If(~frame.good):", "with m.If(~frame.good & is_sync):", "only_good_frames"),
        ("with m.If(current & ~is_sync):", "with m.If(current & is_sync):", "run_is_counted"),
        ("may_run = ~unanswered", "may_run = ~unanswered | 1", "place_is_free"),
    ],
)
def test_a_wrong_processor_is_found(old: str, new: str, claim: str) -> None:
    processor(mutant("opzo.hw.link.command", old, new).CommandProcessor()).refute(claim, 24)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("with m.If(is_run & ~bad):", "with m.If(~bad):", "gives_after_ok"),
        ("with m.If(self.run.ready):\n", "if True:\n", "gives_each_good_run_once"),
    ],
)
def test_a_wrong_intake_is_found(old: str, new: str, claim: str) -> None:
    intake(mutant("opzo.hw.link.sample_intake", old, new).SampleIntake(LIMITS)).refute(claim, 18)
