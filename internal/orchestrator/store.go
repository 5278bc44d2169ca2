package orchestrator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Store is what an orchestrator asks of Redis; internal/redisstore has it.
// After an error it is unknown whether a change was made, unless Retryable and
// Fatal say otherwise.
type Store interface {
	runStore
	reuseStore
	artifactStore
	inbox
	ticketStore
	groupStore
	scheduleStore
	registry
}

// runStore keeps runs.
type runStore interface {
	// Load returns a run as it stands, Definition a frozen definition, Run a
	// record and Version its number of commits; wire.ErrNotFound when there is
	// none, 0 for Version.
	Load(ctx context.Context, id string) (*wire.Stored, error)
	Definition(ctx context.Context, p int, digest string) ([]byte, error)
	Run(ctx context.Context, id string) (run.Run, error)
	Version(ctx context.Context, id string) (int64, error)
	// Commit applies changes of runs of one partition; each as a whole or not
	// at all.
	Commit(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error)
	// DueTimers returns timers that are due, and when the next one after them
	// is; zero when there is none.
	DueTimers(ctx context.Context, p int, now time.Time, limit int) ([]wire.Timer, time.Time, error)
	RemoveTimers(ctx context.Context, p int, timers []wire.Timer) error
	// ActiveRuns returns runs without progress since a time, the longest first,
	// after so many of them; EndedRuns those that ended before a time, or whose own retention is over,
	// and the oldest beyond keep.
	ActiveRuns(ctx context.Context, p int, before time.Time, after, limit int) ([]string, error)
	EndedRuns(ctx context.Context, p int, now, before time.Time, keep, limit int) ([]string, error)
	// FittingRuns returns how many of the newest ended runs fit into so many
	// bytes of Redis.
	FittingRuns(ctx context.Context, p int, budget int64) (int, error)
	DeleteRuns(ctx context.Context, p int, ids []string) error
	// Tasks, Outputs and Log are what an export has of a run beside its record.
	Tasks(ctx context.Context, id string) ([]run.Task, error)
	Outputs(ctx context.Context, id string) (map[string]json.RawMessage, error)
	Log(ctx context.Context, id, after string, count int, block time.Duration) ([]wire.LogEntry, error)
}

// reuseStore keeps results for other runs.
type reuseStore interface {
	// SaveSeeds keeps what a run may take over, before the run is created.
	SaveSeeds(ctx context.Context, id string, seeds map[string]wire.Seed) error
	// CacheGet returns a result by its key; wire.ErrNotFound when there is none.
	CacheGet(ctx context.Context, key string) (wire.Cached, error)
	CachePut(ctx context.Context, c wire.Cached, now time.Time) error
}

// artifactStore knows who refers to which artifact.
type artifactStore interface {
	// KeepArtifacts keeps artifacts until a time for whoever asks, HeldArtifacts
	// tells which are to be kept.
	KeepArtifacts(ctx context.Context, p int, who string, until time.Time, digests []string) error
	HeldArtifacts(ctx context.Context, digests []string, now time.Time) (map[string]bool, error)
}

// inbox is what is sent to orchestrators. Read takes new entries, Claim those
// that another orchestrator took at least idle ago.
type inbox interface {
	ReadSubmissions(ctx context.Context, consumer string, count int, block time.Duration) ([]wire.Submission, error)
	ClaimSubmissions(ctx context.Context, consumer string, idle time.Duration, count int) ([]wire.Submission, error)
	AnswerSubmissions(ctx context.Context, answers []wire.AnswerTo, ttl time.Duration) error
	// ClaimKey lets a run have the key of its submission for a time and returns
	// the run that has it; ReleaseKey gives it up.
	ClaimKey(ctx context.Context, key, runID string, ttl time.Duration) (string, error)
	ReleaseKey(ctx context.Context, key string) error
	// AnswerControl answers a control request.
	AnswerControl(ctx context.Context, a wire.AnswerTo, ttl time.Duration) error
	// Notify puts messages into the inboxes of clients. They may be lost.
	Notify(ctx context.Context, messages map[string][]wire.Message) error
	PauseQueue(ctx context.Context, queue string, p wire.Paused) error
	ResumeQueue(ctx context.Context, queue string) error
	ReadControl(ctx context.Context, consumer string, count int, block, idle time.Duration) ([]wire.Control, error)
	AckControl(ctx context.Context, entries []string) error
	ReadEvents(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]wire.Event, error)
	ClaimEvents(ctx context.Context, p int, consumer string, idle time.Duration, count int) ([]wire.Event, error)
	SendEvents(ctx context.Context, p int, events []wire.Event) error
	AckEvents(ctx context.Context, p int, ids []string) error
}

// ticketStore reads and deletes tickets.
type ticketStore interface {
	// Streams returns all ticket streams of a partition.
	Streams(ctx context.Context, p int) ([]wire.Stream, error)
	// PendingTickets returns tickets whose worker was silent for minIdle, at most
	// count of each stream.
	PendingTickets(ctx context.Context, p int, streams []wire.Stream, minIdle time.Duration, count int) ([]wire.Pending, error)
	// ScanTickets returns tickets of a stream after an entry.
	ScanTickets(ctx context.Context, p int, stream wire.Stream, after string, count int) ([]wire.Ticket, error)
	// Ticket returns one ticket; wire.ErrNotFound when it no longer exists.
	Ticket(ctx context.Context, p int, ref wire.TicketRef) (wire.Ticket, error)
	DropTickets(ctx context.Context, p int, refs []wire.TicketRef) error
}

// scheduleStore keeps what is remembered of schedules, and takes the runs that
// they start.
type scheduleStore interface {
	Schedules(ctx context.Context) (map[string]wire.Schedule, error)
	PutSchedule(ctx context.Context, s wire.Schedule) error
	RemoveSchedule(ctx context.Context, key string) error
	PauseSchedule(ctx context.Context, key string, p wire.Paused) error
	ResumeSchedule(ctx context.Context, key string) error
	PausedSchedules(ctx context.Context) (map[string]wire.Paused, error)
	Submit(ctx context.Context, sub wire.Submission) (string, error)
	SendControl(ctx context.Context, c wire.Control) (string, error)
}

// groupStore keeps the limits that all runs share.
type groupStore interface {
	// AskGroup asks for a slot of a group, FreeGroup gives it back; both may
	// give slots to others who wait.
	AskGroup(ctx context.Context, q wire.GroupAsk) (wire.GroupReply, error)
	FreeGroup(ctx context.Context, name string, m wire.Member, now, until int64) (wire.GroupReply, error)
	// TakeRate takes a token and says when it may be used (0: now), HoldRate
	// lets nobody have one before a time.
	TakeRate(ctx context.Context, name string, limit int, per time.Duration, now int64) (int64, error)
	HoldRate(ctx context.Context, name string, limit int, per time.Duration, now, until int64) error
	Groups(ctx context.Context) ([]string, error)
	Group(ctx context.Context, name string) (wire.Group, error)
	ForgetGroup(ctx context.Context, name string) error
	// Task is the record of one task as it stands in Redis.
	Task(ctx context.Context, id, task string) (string, error)
}

// registry is what belongs to the installation as a whole.
type registry interface {
	Partitions() int
	PartitionOf(id string) int
	// PutLimits tells the readers of the installation its limits.
	PutLimits(ctx context.Context, limits []byte) error
	// Now is the clock of Redis.
	Now(ctx context.Context) (time.Time, error)
	// Own takes or renews a partition for a time, Disown gives it back.
	Own(ctx context.Context, p int, owner string, ttl time.Duration) (bool, error)
	Disown(ctx context.Context, p int, owner string) error
	Workers(ctx context.Context) ([]wire.Worker, error)
	// ForgetConsumers removes the names of consumers that were silent for a
	// time and hold nothing, ForgetWorkers workers not seen since then.
	ForgetConsumers(ctx context.Context, p int, silent time.Duration) error
	ForgetWorkers(ctx context.Context, before time.Time) error
	// PutOrchestrator writes an orchestrator's entry and returns it with the
	// times that it was written with; ForgetOrchestrators removes the entries of
	// those that were last seen before a time, but never the newest.
	PutOrchestrator(ctx context.Context, o wire.Orchestrator) (wire.Orchestrator, error)
	ForgetOrchestrators(ctx context.Context, before time.Time) error
	// Memory is what the fullest node uses and may use, in bytes; 0 is no bound.
	Memory(ctx context.Context) (used, most int64, err error)
	// Epoch returns the epoch now in Redis and that of when the store was
	// opened; they differ after Redis came back empty, and Recover makes good.
	Epoch(ctx context.Context) (now, opened string, err error)
	Recover(ctx context.Context) error
	// Retryable reports whether the same may work later, Fatal that waiting
	// cannot help, and what to do instead.
	Retryable(err error) bool
	Fatal(err error) (advice string, fatal bool)
}
