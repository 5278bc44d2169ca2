// Package event lists the kinds of events that move a run. The list exists once,
// in this package: the engine, the streams and the metrics derive theirs from it.
package event

// Kind says what an event reports.
type Kind string

// The kinds. Each has a row in the table below.
const (
	Start      Kind = "start"      // begin the run; the first event of every run
	TimerFired Kind = "timerFired" // a timer of the run is due
	Continue   Kind = "continue"   // the run has more to do than fits one commit
	Started    Kind = "started"    // the handler has been running for a while
	Progress   Kind = "progress"   // the handler reports progress
	Succeeded  Kind = "succeeded"  // the attempt ended with a result
	Failed     Kind = "failed"     // the attempt ended with an error
	Released   Kind = "released"   // the worker handed the ticket back unfinished
	Lost       Kind = "lost"       // the worker missed its heartbeats
	Missing    Kind = "missing"    // the ticket vanished from its queue
	Answered   Kind = "answered"   // the answer to a query of the run
	Evicted    Kind = "evicted"    // a newer run or task took the slot of a group
	Cancel     Kind = "cancel"     // a person cancels the run
	Pause      Kind = "pause"      // a person pauses the run: it starts no more tasks
	Resume     Kind = "resume"     // a person resumes a paused run
	Approve    Kind = "approve"    // a person approves a task
	Reject     Kind = "reject"     // a person rejects a task
	Signal     Kind = "signal"     // a signal arrived
)

// Sender is who reports an event.
type Sender string

// The senders.
const (
	// Worker reports what became of an attempt.
	Worker Sender = "worker"
	// Orchestrator reports what it found out: a lost worker, the answer to a
	// query, work left over.
	Orchestrator Sender = "orchestrator"
	// Person sends a control request: the kind is its op.
	Person Sender = "person"
)

// Info is what the readers of events need to know about a kind.
type Info struct {
	Kind   Kind
	Sender Sender
	// Stream reports whether the event travels on a partition's event stream.
	// The orchestrator that steps the run makes the others itself and ignores
	// them when they arrive on a stream.
	Stream bool
	// Fenced reports whether the event is about one attempt: it counts only
	// while its fence is the current fence of the task.
	Fenced bool
}

// table has one row for each kind. It is never modified.
var table = [...]Info{
	{Kind: Start, Sender: Orchestrator},
	{Kind: TimerFired, Sender: Orchestrator},
	{Kind: Continue, Sender: Orchestrator, Stream: true},
	{Kind: Started, Sender: Worker, Stream: true, Fenced: true},
	{Kind: Progress, Sender: Worker, Stream: true, Fenced: true},
	{Kind: Succeeded, Sender: Worker, Stream: true, Fenced: true},
	{Kind: Failed, Sender: Worker, Stream: true, Fenced: true},
	{Kind: Released, Sender: Worker, Stream: true, Fenced: true},
	{Kind: Lost, Sender: Orchestrator, Stream: true, Fenced: true},
	{Kind: Missing, Sender: Orchestrator, Stream: true, Fenced: true},
	{Kind: Answered, Sender: Orchestrator, Stream: true},
	{Kind: Evicted, Sender: Orchestrator, Stream: true},
	{Kind: Cancel, Sender: Person, Stream: true},
	{Kind: Pause, Sender: Person, Stream: true},
	{Kind: Resume, Sender: Person, Stream: true},
	{Kind: Approve, Sender: Person, Stream: true},
	{Kind: Reject, Sender: Person, Stream: true},
	{Kind: Signal, Sender: Person, Stream: true},
}

// Table returns a copy of the table, in the order of the constants.
func Table() []Info { return append([]Info(nil), table[:]...) }

// Info returns the row of a kind. The row of an unknown kind is the zero Info.
func (k Kind) Info() Info {
	for i := range table {
		if table[i].Kind == k {
			return table[i]
		}
	}
	return Info{}
}

// Ops returns the kinds that a control request can ask for: those that a person
// sends.
func Ops() []Kind {
	var ops []Kind
	for i := range table {
		if table[i].Sender == Person {
			ops = append(ops, table[i].Kind)
		}
	}
	return ops
}
