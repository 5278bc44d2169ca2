// Package wire defines what stands on the streams: the fields of tickets,
// worker events, submissions and control messages, and their limits. The
// protocol is described for other languages in docs/protocol.md.
package wire

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"time"

	"github.com/orchis-run/orchis/pkg/run"
)

// Version is the protocol version on every ticket and event. Readers ignore
// fields they do not know and refuse versions they do not know.
const Version = "2"

// Errors that callers decide by.
var (
	// ErrConflict says that a run has changed since it was read, or that a large
	// value it refers to is gone.
	ErrConflict = errors.New("the run was changed by somebody else")
	// ErrNotFound says that there is no such run, or no longer.
	ErrNotFound = errors.New("not found")
	// ErrMalformed says that a stream entry is not what the protocol allows.
	ErrMalformed = errors.New("malformed entry")
)

// Submission asks for a new run.
type Submission struct {
	Entry string // stream entry id
	// ID, if given, is the run's id: submitting it again gives the same run.
	ID string
	// Key, if given, makes submissions with the same key give the same run, for
	// KeyFor milliseconds after the first.
	Key    string
	KeyFor int64
	// Recipe is a name, Definition YAML text, From a run whose definition and
	// inputs are taken again. Exactly one is given.
	Recipe     string
	Definition string
	From       string
	// Retry, if given, takes over from the run From what need not run again; then
	// Definition and inputs are changes.
	Retry *Retry
	// NoCache has the run look up no results of other runs.
	NoCache bool
	// Inputs is a JSON object; Single are single inputs as text (input.<name>).
	Inputs json.RawMessage
	Single map[string]string
	By     string
	Labels map[string]string
	// Trace is the W3C traceparent of which the run is a part, or empty.
	Trace string
	// Inbox names the inbox of the client that submits, or is empty.
	Inbox string
	// Deliveries counts how often the entry was delivered, 1 the first time.
	Deliveries int64
}

// Answer is what became of a submission: the run's id, or the error text.
type Answer struct {
	State string // accepted or rejected
	Run   string
	Error string
}

// AnswerTo is the answer to a submission or a control request.
type AnswerTo struct {
	Entry string // of what is answered
	Inbox string // of the client that waits for the answer, or empty
	Answer
}

// AnswerTTL is how long the answer to a submission can be read.
const AnswerTTL = 7 * 24 * time.Hour

// The states of an Answer.
const (
	Accepted = "accepted"
	Rejected = "rejected"
)

// Control is one entry of the control stream: an operator's wish.
type Control struct {
	Entry string
	// Op is cancel, pause, resume, approve, reject or signal.
	Op  string
	Run string
	// Job is the task that is meant, Queue a queue and Schedule a schedule to
	// pause or resume; a schedule can be triggered, too.
	Job      string
	Queue    string
	Schedule string
	By       string
	// Reason is the comment of an approval, too.
	Reason string
	// Signal names a signal; Data is what comes with it, or the inputs of an
	// approval: JSON.
	Signal string
	Data   json.RawMessage
	// Inbox names the inbox of the client that asks, or is empty.
	Inbox string
}

// Paused says who paused a queue, and why.
type Paused struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"`
}

// Timer is a moment at which a run wants to be woken.
type Timer struct {
	Run string
	// Kind is retry, queueTimeout or timeout; Task and Fence say of what.
	Kind  string
	Task  string
	Fence string
	// Due is Unix milliseconds by the clock of Redis.
	Due int64
}

// Commit is one atomic change of one run: all of it, or, when the run's
// version is not Version any more, nothing.
type Commit struct {
	Run string
	// Version is the version read; 0 creates the run.
	Version int64
	// Fields are the changed fields of the run's hash (version is added).
	Fields []string
	// Definition, when set (on creation), is stored under its digest.
	Digest     string
	Definition []byte
	// Tasks are field, value, field, value ... of the hash of records. Outputs are
	// the results that are stored apart from them.
	Tasks   []string
	Outputs []Output
	// Blobs are the large values that the run refers to from now on.
	Blobs []string
	// Artifacts are files that the run refers to from now on.
	Artifacts []Artifact
	// Forget lists tasks whose record and output are deleted.
	Forget []string
	// Log is one entry for the run's log, from run.EncodeChanges; empty for none.
	Log []byte
	// Tickets are published, Revokes deleted.
	Tickets []Ticket
	Revokes []TicketRef
	// SetTimers are set, ClearTimers removed (by run, kind, task and fence).
	SetTimers   []Timer
	ClearTimers []Timer
	// Dead are dead letters to be kept.
	Dead []DeadLetter
	// More asks for a Continue event of this run, in the same change.
	More bool
	// Acks name the entries whose events this change covers.
	Acks []Ack
	// Recipe is the run's; among the ended ones it is found by it.
	Recipe string
	// Active moves the run among the active ones (its last progress), Done
	// among the ended ones (its end), in Unix milliseconds; 0 leaves it.
	Active int64
	Done   int64
	// RetainFor is how long a run that is Done is kept, in milliseconds; 0
	// leaves it to the orchestrators.
	RetainFor int64
}

// Output is the result of a task as JSON. It must not change any more.
type Output struct {
	Task  string
	Value json.RawMessage
}

// Ack says that a change covers events of an entry. The transaction in which the
// last of Of changes of one call is written acknowledges and deletes the entry.
type Ack struct {
	Entry string
	Of    int
}

// PartitionOf returns the partition of a run, from 0: the 32-bit FNV-1a hash of
// its id modulo the number of partitions.
func PartitionOf(runID string, partitions int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(runID))
	return int(h.Sum32() % uint32(partitions))
}

// Sides is how many commits of a partition may be on their way at once.
const Sides = 2

// Side is on which side of its partition a run is, from 0 on. Commits of runs
// that are not on the same side do not get into each other's way.
func Side(run string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run))
	return int(h.Sum32()>>16) % Sides // the partition is told by the other end
}

// Artifact is a file that a run refers to.
type Artifact struct {
	Digest string
	// Made says that a task of the run made it, rather than took it from
	// somewhere; then KeepFor is how long it is kept after the run has ended,
	// in milliseconds, or 0 for as long as the run.
	Made    bool
	KeepFor int64
}

// CommitResult tells what became of a Commit.
type CommitResult struct {
	// Err is nil or ErrConflict.
	Err error
	// TicketIDs are the stream ids of the change's tickets, in their order.
	TicketIDs []string
}

// LogEntry is what one commit changed in a run.
type LogEntry struct {
	ID      string // the version of the run that the commit made, in decimal
	Changes []run.Change
}

// TicketRef names a ticket in its stream.
type TicketRef struct {
	Stream Stream
	ID     string
}

// Pending is a ticket that a worker has and has not done with.
type Pending struct {
	TicketRef

	Consumer string
	Idle     time.Duration // since the worker was last heard of
}

// DeadLetter is a task that was given up, or a stream entry that nobody can
// read.
type DeadLetter struct {
	// ID names it: the partition, a colon and the entry's id.
	ID      string     `json:"id"`
	Run     string     `json:"run,omitempty"`
	Task    string     `json:"task,omitempty"`
	Handler string     `json:"handler,omitempty"`
	Attempt int        `json:"attempt,omitempty"`
	Error   *run.Error `json:"error,omitempty"`
	// At is Unix milliseconds by the clock of Redis.
	At int64 `json:"at,omitempty"`
	// Stream and Entry say where an entry stood that nobody can read.
	Stream string `json:"stream,omitempty"`
	Entry  string `json:"entry,omitempty"`
}

// Stored is a run as it stands in Redis, for the engine to restore.
type Stored struct {
	Run        map[string]string
	Tasks      map[string]string
	Outputs    map[string]string
	Definition []byte
	// Seeds are what the run may take over from an earlier one.
	Seeds map[string]Seed
}

// Line is a piece of a task's log output.
type Line struct {
	ID      string // stream entry id
	Task    string
	Attempt int
	// Source is stdout, stderr or log.
	Source string
	Text   string
	At     int64
	// Number counts the lines of the attempt from 1, so that a reader sees which
	// of them are no longer kept; 0 when the worker does not count.
	Number int
}
