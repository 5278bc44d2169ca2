package engine

import (
	"encoding/json"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

// The kinds of timers.
const (
	TimerRetry        = "retry"        // publish the task's next attempt
	TimerQueueTimeout = "queueTimeout" // no worker took the ticket in time
	TimerTimeout      = "timeout"      // the run, or a nested flow, took too long
	TimerWait         = "wait"         // a wait ends by itself
)

// Event is something that happened to a run. Times are Unix milliseconds.
type Event struct {
	Kind   event.Kind
	Task   string
	Fence  string
	Worker string
	// Version is that of the handler which made the result, or empty.
	Version string
	// At is when it happened and Started when the attempt began.
	At, Started int64
	// Result belongs to the run from now on: it must not be changed, nor be a
	// part of a larger buffer, which it would keep in memory.
	Result json.RawMessage
	// Tidy says that Result is known to be JSON in valid UTF-8 without space
	// between its tokens.
	Tidy  bool
	Error *run.Error
	// Permanent errors are not retried. RetryAfter, in milliseconds, replaces
	// the pause before the next attempt when positive.
	Permanent  bool
	RetryAfter int64
	Progress   float64
	Note       string
	Lines      bool
	// Timer is the kind of the timer that fired.
	Timer      string
	By, Reason string
	// Signal names the signal; Data is what came with it, or the inputs of an
	// approval (JSON).
	Signal string
	Data   json.RawMessage
	// Granted is what was Answered: yes or no. Due, when positive, says that
	// it is neither, and when to ask again.
	Granted bool
	// From is the run that a cached result comes from.
	From string
	Due  int64
	// Reply asks for a Reply of this id.
	Reply string
}

// Effects is what a Step wants done, all of it or nothing.
type Effects struct {
	// Run is the run's record after the step; RunChanged says whether it
	// differs from the one before.
	Run        run.Run
	RunChanged bool
	// Tasks are the changed records, Outputs the new results, and Forget the
	// tasks whose record and result are to be deleted (a nested flow that is
	// tried again). Forget comes first.
	Forget  []string
	Tasks   []run.Task
	Outputs []Output
	Tickets []Ticket
	Revokes []Revoke
	// ClearTimers come before SetTimers.
	ClearTimers []Timer
	SetTimers   []Timer
	Log         []run.Change
	Dead        []Dead
	// Asks are questions: the answer is to come as an Answered event with the
	// Ask of the question as its Fence. Frees are slots that are given back.
	// Replies answer who sent an event.
	Queries      []Query
	SlotReleases []SlotRelease
	RateHolds    []RateHold
	Replies      []Reply
	// Keeps are results to be kept for other runs.
	CachePuts []CachePut
	// More asks for a Continue event: the run has more to do now than fits
	// one step.
	More bool
	// RetainFor is how long the run is kept from now on, in milliseconds, when
	// it has ended and its definition says so.
	RetainFor int64
	// Ended are the attempts that came to their end.
	Ended []Attempt
	// Stale is the number of events that had no effect.
	Stale int
	// Fault is set when the engine broke one of its own rules, and then alone.
	// The caller must throw the run away and must not commit anything.
	Fault error
}

// The outcomes of an attempt.
const (
	OutcomeSucceeded = "succeeded"
	OutcomeFailed    = "failed"
	OutcomeTimeout   = "timeout"   // it took too long, or showed no sign of life
	OutcomeLost      = "lost"      // its worker went away
	OutcomeUntaken   = "untaken"   // no worker took it in time
	OutcomeCancelled = "cancelled" // it was withdrawn
)

// Outcomes lists them.
func Outcomes() []string {
	return []string{OutcomeSucceeded, OutcomeFailed, OutcomeTimeout, OutcomeLost, OutcomeUntaken, OutcomeCancelled}
}

// Attempt is an attempt that came to its end. It tells those who count and
// changes nothing.
type Attempt struct {
	Task, Queue, Handler, Worker, Outcome string
	Number                                int
	// First is when the task's first attempt was published and Queued when this
	// one was, Started when its handler began (0: it never did), Ended its end.
	First, Queued, Started, Ended int64
	Error                         *run.Error
}

// Empty reports whether there is nothing to be done.
func (e *Effects) Empty() bool {
	return !e.RunChanged && !e.More && len(e.Forget) == 0 && len(e.Tasks) == 0 &&
		len(e.Outputs) == 0 && len(e.Tickets) == 0 && len(e.Revokes) == 0 &&
		len(e.ClearTimers) == 0 && len(e.SetTimers) == 0 && len(e.Log) == 0 && len(e.Dead) == 0 &&
		len(e.Queries) == 0 && len(e.SlotReleases) == 0 && len(e.RateHolds) == 0
}

// Output is the result of a task, JSON.
type Output struct {
	Task  string
	Value json.RawMessage
	// Made says that a handler made it; KeepFor is then how long the files in
	// it are kept after the run ended, in milliseconds, or 0 for as long as the
	// run.
	Made    bool
	KeepFor int64
}

// Ticket offers an attempt to the workers of a queue.
type Ticket struct {
	Task, Fence, Queue, Handler string
	Attempt, Priority           int
	// Inputs is a JSON value, Env a JSON object of strings or nil. Secrets says
	// where in both which secrets belong: a list of expr.SecretText whose places
	// begin with inputs or env, or nil.
	Inputs, Env, Secrets   json.RawMessage
	TimeoutMs, HeartbeatMs int64
	// First is when the task's first attempt was published.
	First int64
}

// Revoke withdraws a ticket.
type Revoke struct {
	Task, Fence, Queue, Handler string
	Priority                    int
}

// Timer is a moment at which a TimerFired event is wanted. Kind, Task and Fence
// name it; Due is Unix milliseconds.
type Timer struct {
	Kind, Task, Fence string
	Due               int64
}

// Query is a question of a task; of the run itself when Task is empty.
type Query struct {
	Task string
	// Handler is that of the task.
	Handler  string
	Priority int
	run.Wait
}

// SlotRelease gives a slot of a group back, or withdraws the query for one. Task
// is empty for the slot of the run itself.
type SlotRelease struct {
	Task, Group string
	// Query is the query that got the slot, or that is withdrawn.
	Query string
	// Until, when it is not 0, is a time (Unix milliseconds) before which the
	// group grants no slots: a worker asked for a pause.
	Until int64
}

// RateHold holds back the tokens of a rate until a time: a worker asked for a
// pause. Per and Until are in milliseconds, Until since the Unix epoch.
type RateHold struct {
	Task, Key  string
	Limit      int
	Per, Until int64
}

// Reply says what became of an event; an empty Error is that it was done.
type Reply struct{ ID, Error string }

// Dead is a task that was given up because its workers kept going away.
type Dead struct {
	Task, Handler string
	Attempt       int
	Error         *run.Error
}

// Flight is an attempt whose ticket is with the workers.
type Flight struct {
	Task, Fence, Queue, Handler string
	Priority                    int
	Queued                      int64
	Running                     bool
}
