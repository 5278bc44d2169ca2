// Package run says what a run and its tasks look like from outside: their
// states and the records that stand in Redis. It is pure data, shared by the
// engine that writes these records and by everything that reads them.
package run

import "encoding/json"

// MaxSignals is the number of signals that a run keeps for jobs to come.
const MaxSignals = 100

// State is the state of a run.
type State string

// The states of a run. The comments are the table of docs/states.md.
const (
	// Queued runs are accepted and have not started. The engine starts them with
	// the commit that creates them, or as soon as their group has a free slot.
	Queued State = "queued"
	// Running runs have tasks that are not final. When all tasks are final and
	// the hooks have run, the engine ends the run. A run that is being stopped
	// is Running until then.
	Running State = "running"
	// Paused runs start no more tasks; what workers hold continues. A person
	// resumes or cancels them, and their timeout stops them too.
	Paused State = "paused"
	// Succeeded is final: no job failed, or each failure was tolerated or
	// recovered by a hook.
	Succeeded State = "succeeded"
	// Failed is final: a job failed, the run exceeded its timeout, or it could
	// not be processed.
	Failed State = "failed"
	// Cancelled is final: a person cancelled the run, or a newer run took its
	// slot of a group.
	Cancelled State = "cancelled"
)

// States returns all states of a run in the order of the constants.
func States() []State { return []State{Queued, Running, Paused, Succeeded, Failed, Cancelled} }

// Final reports whether the run has ended: no event moves it on.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Cancelled }

// TaskState is the state of a task: of a job, or of one item of an iterated job.
type TaskState string

// The states of a task. The comments are the table of docs/states.md.
const (
	// TaskPending tasks wait for the jobs they depend on, or for a free place
	// under a parallelism limit. The engine moves them on. A task without a
	// record is pending.
	TaskPending TaskState = "pending"
	// TaskDelayed tasks may start and wait for their start time. A timer moves
	// them on.
	TaskDelayed TaskState = "delayed"
	// TaskWaiting tasks wait for an approval, a signal, a slot of a group, a rate
	// token or a cache lookup. A person, an answer of the orchestrator or a timer
	// moves them on.
	TaskWaiting TaskState = "waiting"
	// TaskQueued tasks have a ticket in a queue. The worker that takes the ticket
	// moves them on, or the timer of queueTimeout.
	TaskQueued TaskState = "queued"
	// TaskRunning tasks are executed by a worker, whose reports move them on. A
	// nested flow or an iteration is running while a task below it is not final;
	// the engine moves it on.
	TaskRunning TaskState = "running"
	// TaskRetrying tasks failed and wait for their next attempt. A timer moves
	// them on.
	TaskRetrying TaskState = "retrying"
	// TaskSucceeded is final: the result is recorded.
	TaskSucceeded TaskState = "succeeded"
	// TaskCached is final: the result was taken over from another run.
	TaskCached TaskState = "cached"
	// TaskFailed is final: no attempt is left, or the task could not start.
	TaskFailed TaskState = "failed"
	// TaskSkipped is final: the task's condition was false, all jobs it depends on
	// were skipped, its iteration no longer needed it, or its group was full.
	TaskSkipped TaskState = "skipped"
	// TaskBlocked is final: a job the task depends on failed, was cancelled or is
	// blocked itself.
	TaskBlocked TaskState = "blocked"
	// TaskCancelled is final: the run, or the flow of the task, was stopped.
	TaskCancelled TaskState = "cancelled"
)

// TaskStates returns all states of a task in the order of the constants.
func TaskStates() []TaskState {
	return []TaskState{
		TaskPending, TaskDelayed, TaskWaiting, TaskQueued, TaskRunning, TaskRetrying,
		TaskSucceeded, TaskCached, TaskFailed, TaskSkipped, TaskBlocked, TaskCancelled,
	}
}

// Final reports whether the task has ended: no event moves it on.
func (s TaskState) Final() bool {
	switch s {
	case TaskSucceeded, TaskCached, TaskFailed, TaskSkipped, TaskBlocked, TaskCancelled:
		return true
	}
	return false
}

// HasResult reports whether a task of this state has a result.
func (s TaskState) HasResult() bool { return s == TaskSucceeded || s == TaskCached }

// InFlight reports whether a ticket of the task is in a queue or with a worker.
func (s TaskState) InFlight() bool { return s == TaskQueued || s == TaskRunning }

// Error says why a task or a run failed.
type Error struct {
	// Code is a short word that retry rules and conditions match on: "error",
	// "timeout", "lost", "queueTimeout", "expression", "exit:1" or whatever
	// the handler gave.
	Code string `json:"code"`
	// Message is for people.
	Message string `json:"message"`
	// Task is the path of the task in which the failure began, when that is
	// not the task which carries the error.
	Task string `json:"task,omitempty"`
}

// Error returns the message with its code.
func (e *Error) Error() string {
	if e == nil {
		return ""
	}
	return e.Message + " (" + e.Code + ")"
}

// Codes of errors that Orchis itself gives.
const (
	CodeError        = "error"        // the handler failed without saying more
	CodeTimeout      = "timeout"      // an attempt or the run took too long
	CodeHeartbeat    = "heartbeat"    // the handler reported no progress for too long
	CodeQueueTimeout = "queueTimeout" // no worker took the ticket in time
	CodeLost         = "lost"         // the worker went away too many times
	CodeExpression   = "expression"   // an expression of the flow could not be evaluated
	CodeInput        = "input"        // a nested flow was given wrong inputs
	CodeItems        = "items"        // too many items of an iteration failed
	CodeFlow         = "flow"         // a job of the nested flow failed
	CodeHandler      = "handler"      // no worker of the queue has the handler
	CodeTooLarge     = "tooLarge"     // inputs or result are over the limit
	CodePanic        = "panic"        // the handler panicked
	CodeInternal     = "internal"     // an event could not be processed
	CodeOutputs      = "outputs"      // a result does not keep the job's declared outputs
	CodeSecret       = "secret"       // the worker does not have a secret that the job uses
	CodeCancelled    = "cancelled"    // somebody cancelled the run
	CodeRejected     = "rejected"     // somebody said no to an approval
	CodeLimit        = "limit"        // a group had no free slot
)

// Task is the record of one task, stored in the run's tasks hash under the
// task's path: Encode and ParseTask say how, the tags are what programs are
// given. Times are Unix milliseconds by the clock of Redis.
type Task struct {
	ID    string    `json:"-"`
	State TaskState `json:"state"`
	// Attempt is the number of the newest attempt, from 1; 0 before the first.
	Attempt int `json:"attempt,omitempty"`
	// Failures counts the attempts that ended in an error or a timeout; only
	// these count against the job's retries.
	Failures int `json:"failures,omitempty"`
	// Losses counts the attempts whose worker went away.
	Losses int `json:"losses,omitempty"`
	// Releases counts the times a worker handed the ticket back unfinished.
	Releases int `json:"releases,omitempty"`
	// Fence is the publication id of the attempt in flight; reports that carry
	// another one are stale. Empty when nothing is in flight.
	Fence string `json:"fence,omitempty"`
	Queue string `json:"queue,omitempty"`
	// Bulk says that the ticket stands one lane lower than its job's, since the
	// run has many.
	Bulk    bool   `json:"bulk,omitempty"`
	Worker  string `json:"worker,omitempty"`
	Queued  int64  `json:"queued,omitempty"`
	Started int64  `json:"started,omitempty"`
	Ended   int64  `json:"ended,omitempty"`
	// First is when the first attempt was published.
	First int64 `json:"first,omitempty"`
	// Due is when the next attempt of a retrying task is published.
	Due int64 `json:"due,omitempty"`
	// Items is the number of items of an iterated job.
	Items int `json:"items,omitempty"`
	// Tolerated marks a failed task that counts as succeeded for what depends
	// on it (continueOnError).
	Tolerated bool `json:"tolerated,omitempty"`
	// Error says why the task failed, or why its newest attempt did.
	Error *Error `json:"error,omitempty"`
	// Stop says why the nested flow of a running task is being stopped.
	// Invariant: only running tasks have one.
	Stop *Stop `json:"stop,omitempty"`
	// Reason says in words why a task was skipped, blocked or cancelled.
	Reason string `json:"reason,omitempty"`
	// Progress is the newest progress the handler reported, 0 to 100.
	Progress float64 `json:"progress,omitempty"`
	// Note is the newest progress message of the handler.
	Note string `json:"note,omitempty"`
	// Lines reports that the task wrote log lines.
	Lines bool `json:"lines,omitempty"`
	// Wait says what a delayed or waiting task waits for.
	Wait *Wait `json:"wait,omitempty"`
	// Delayed is until when a delay put off the start.
	Delayed int64 `json:"delayed,omitempty"`
	// Slots are those of groups that the task holds.
	Slots []Slot `json:"slots,omitempty"`
	// Digest says what the task was asked to do: a hash of its job and its
	// resolved inputs, 22 letters of base64url.
	Digest string `json:"digest,omitempty"`
	// From is the run in which a cached task really ran. Reused says that the
	// task, or all tasks below it, were taken over from the run that this one
	// goes on from.
	From   string `json:"from,omitempty"`
	Reused bool   `json:"reused,omitempty"`
	// Result is the task's result (JSON) while it has at most InlineResult
	// bytes. Larger results are stored apart.
	Result json.RawMessage `json:"-"`
}

// InlineResult is the largest result, in bytes, that is stored in the record of
// its task.
const InlineResult = 1 << 10

// Slot is a place in a group; Ask is the question that got it.
type Slot struct {
	Group string `json:"group"`
	Query string `json:"query"`
}

// Wait is what a delayed or waiting task waits for.
type Wait struct {
	// Kind is delay, approval, signal, group, rate or cache.
	Kind string `json:"kind"`
	// Key names the signal or the group; Limit, Per (milliseconds) and Mode
	// are those of a group or rate.
	Key   string `json:"key,omitempty"`
	Limit int    `json:"limit,omitempty"`
	Per   int64  `json:"per,omitempty"`
	Mode  string `json:"mode,omitempty"`
	// Flow marks the group of the flow that the task starts, not its own.
	Flow bool `json:"flow,omitempty"`
	// Ask is the id of a question to which the orchestrator finds the answer.
	Query string `json:"query,omitempty"`
	// Since is when the wait began, Due when it ends by itself; 0 is never.
	Since int64 `json:"since,omitempty"`
	Due   int64 `json:"due,omitempty"`
	// Message and By are those of an approval: what to decide, and who may.
	Message string   `json:"message,omitempty"`
	By      []string `json:"by,omitempty"`
}

// The kinds of waits.
const (
	WaitDelay    = "delay"
	WaitApproval = "approval"
	WaitSignal   = "signal"
	WaitGroup    = "group"
	WaitRate     = "rate"
	WaitCache    = "cache"
)

// Pause says who paused a run, when and why.
type Pause struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"`
}

// Signal is a signal that came before a job waited for it.
type Signal struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
	By   string          `json:"by,omitempty"`
	At   int64           `json:"at"`
}

// Run is the record of one run, as stored in the fields of the run's hash.
type Run struct {
	ID          string
	Partition   int
	State       State
	Version     int64
	Recipe      string // name of the recipe or flow
	Definition  string // digest of the frozen definition
	Inputs      []byte // JSON object
	Outputs     []byte // JSON, set when the run succeeded
	Labels      map[string]string
	SubmittedBy string
	// Error says why the run failed or was cancelled. Invariant: only runs that
	// ended have one.
	Error *Error
	// Stop says that the run is being stopped, and why. Invariant: only Running
	// runs have one.
	Stop    *Stop
	Created int64
	Started int64
	Ended   int64
	// Paused is set while the run is.
	Paused *Pause
	// Wait is what a queued run waits for: a slot of its group, which is Slot
	// then.
	Wait *Wait
	Slot *Slot
	// Signals are those that no job has waited for yet, at most MaxSignals.
	Signals []Signal
	// NoCache says that the run looks up no results of other runs.
	NoCache bool
	// Trace is the W3C traceparent that came with the submission, or empty.
	Trace string
	// Inbox names the inbox of the client that submitted the run, or is empty. The
	// orchestrator that ends the run tells that client.
	Inbox string
	// Tasks and Done count the tasks that exist so far and the final ones.
	Counts Counts
}

// Counts says how many tasks of a run are in which state. Tasks that exist
// only in the definition, or as items not yet started, count as pending.
type Counts struct {
	Pending   int `json:"pending"`
	Delayed   int `json:"delayed,omitempty"`
	Waiting   int `json:"waiting,omitempty"`
	Queued    int `json:"queued"`
	Running   int `json:"running"`
	Retrying  int `json:"retrying"`
	Succeeded int `json:"succeeded"`
	Cached    int `json:"cached,omitempty"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
	Blocked   int `json:"blocked"`
	Cancelled int `json:"cancelled"`
}

// Total is the number of tasks known so far.
func (c Counts) Total() int {
	return c.Pending + c.Delayed + c.Waiting + c.Queued + c.Running + c.Retrying + c.Final()
}

// Final is the number of tasks that ended.
func (c Counts) Final() int {
	return c.Succeeded + c.Cached + c.Failed + c.Skipped + c.Blocked + c.Cancelled
}

// Add changes the count of one state by n.
func (c *Counts) Add(s TaskState, n int) {
	switch s {
	case TaskPending:
		c.Pending += n
	case TaskDelayed:
		c.Delayed += n
	case TaskWaiting:
		c.Waiting += n
	case TaskQueued:
		c.Queued += n
	case TaskRunning:
		c.Running += n
	case TaskRetrying:
		c.Retrying += n
	case TaskSucceeded:
		c.Succeeded += n
	case TaskCached:
		c.Cached += n
	case TaskFailed:
		c.Failed += n
	case TaskSkipped:
		c.Skipped += n
	case TaskBlocked:
		c.Blocked += n
	case TaskCancelled:
		c.Cancelled += n
	}
}

// Change is a part of an entry of a run's log, which is what one commit changed,
// in order. EncodeChanges and ParseChanges say how an entry is stored, the tags
// are what programs are given.
type Change struct {
	// At is Unix milliseconds by the clock of Redis.
	At int64 `json:"at"`
	// Run is set when the run itself changed its state.
	Run State `json:"run,omitempty"`
	// Task is the path of the task that changed.
	Task    string    `json:"task,omitempty"`
	State   TaskState `json:"state,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Worker  string    `json:"worker,omitempty"`
	Items   int       `json:"items,omitempty"`
	// Started is when the attempt started, on changes that end it.
	Started  int64   `json:"started,omitempty"`
	Due      int64   `json:"due,omitempty"`
	Progress float64 `json:"progress,omitempty"`
	Note     string  `json:"note,omitempty"`
	Error    *Error  `json:"error,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	// By is who asked for it, on changes that a person made.
	By string `json:"by,omitempty"`
	// Wait is what the task waits for, on changes to delayed and waiting.
	Wait *Wait `json:"wait,omitempty"`
	// Op is what a person did, where the state does not say it: pause, resume,
	// approve, reject, signal.
	Op string `json:"op,omitempty"`
}
