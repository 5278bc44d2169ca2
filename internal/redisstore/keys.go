package redisstore

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/orchis-run/orchis/internal/wire"
)

// The consumer groups of the streams.
const (
	groupOrchestrators = "orchestrators"
	groupWorkers       = "workers"
)

// base begins every key of a partition; the braces put them into one slot.
func (s *Store) base(p int) string { return s.prefix + ":{" + strconv.Itoa(p) + "}:" }

// submit is a stream: submissions, deleted when answered.
func (s *Store) submit() string { return s.prefix + ":submit" }

// control is a stream: wishes of operators, deleted when passed on.
func (s *Store) control() string { return s.prefix + ":control" }

// meta is a hash: schema, partitions, epoch, limits. It stays.
func (s *Store) meta() string { return s.prefix + ":meta" }

// workers is a hash: a worker's name -> its entry. Workers renew theirs.
func (s *Store) workers() string { return s.prefix + ":workers" }

// orchestrators is a hash: an orchestrator's name -> its entry. Orchestrators
// renew theirs and remove those of the dead after an hour, but never the newest.
func (s *Store) orchestrators() string { return s.prefix + ":orchestrators" }

// answer is a hash: what became of a submission. It expires.
func (s *Store) answer(entry string) string { return s.prefix + ":submission:" + entry }

// reply is a hash: what became of a wish of the control stream. It expires.
func (s *Store) reply(entry string) string { return s.prefix + ":reply:" + entry }

// inbox is a stream: what orchestrators tell one client process about its
// submissions, control requests and runs. id is checked by wire.IsInbox. About
// 1,000 entries at most; it expires a minute after the last one.
func (s *Store) inbox(id string) string { return s.prefix + ":inbox:" + id }

// paused is a hash: paused queue -> who, when and why. Resuming removes it.
func (s *Store) paused() string { return s.prefix + ":paused" }

// pausedSchedules is a hash: key of a paused schedule -> who, when and why.
func (s *Store) pausedSchedules() string { return s.prefix + ":schedules:paused" }

// once is a string: the run of a submission's key. It expires.
func (s *Store) once(key string) string {
	sum := sha256.Sum256([]byte(key))
	return s.prefix + ":once:" + hex.EncodeToString(sum[:])
}

// groups is a set: the names of the groups that may have members.
func (s *Store) groups() string { return s.prefix + ":groups" }

// schedules is a hash: key of a schedule -> what is remembered of it. One that
// is in no definition any more goes after a month.
func (s *Store) schedules() string { return s.prefix + ":schedules" }

// events is a stream: what workers report, deleted when committed.
func (s *Store) events(p int) string { return s.base(p) + "events" }

// timers is a sorted set: run|kind|task|fence -> due time.
func (s *Store) timers(p int) string { return s.base(p) + "timers" }

// active is a sorted set: run -> time of its last progress.
func (s *Store) active(p int) string { return s.base(p) + "active" }

// done is a sorted set: run -> end. The janitor removes the oldest.
func (s *Store) done(p int) string { return s.base(p) + "done" }

// begun is a sorted set: run that has not ended -> its creation.
func (s *Store) begun(p int) string { return s.base(p) + "begun" }

// doneIndexes name the sorted sets, beside done, in which a run that has ended
// stands with its end: those of its recipe, and of a state that is rare. They
// are what is read when a list is asked for these.
func doneIndexes(recipe, state string) []string {
	var names []string
	if recipe != "" {
		names = append(names, doneByRecipe(recipe))
	}
	if state == "failed" || state == "cancelled" {
		names = append(names, doneByState(state))
	}
	return names
}

func doneByRecipe(recipe string) string { return "done:recipe:" + recipe }

func doneByState(state string) string { return "done:state:" + state }

// retained is a sorted set: ended run with a retention of its own -> when it may
// go.
func (s *Store) retained(p int) string { return s.base(p) + "done:until" }

// doneBytes is a hash: ended run -> bytes of its keys, measured once.
func (s *Store) doneBytes(p int) string { return s.base(p) + "done:bytes" }

// owner is a string: the orchestrator that looks after the partition; expires.
func (s *Store) owner(p int) string { return s.base(p) + "owner" }

// markKey is a string, for each side of the partition, that each commit of a run
// that is there replaces, and the deletion of runs: see mark.
func (s *Store) markKey(p, side int) string { return s.base(p) + "mark:" + strconv.Itoa(side) }

// dead is a stream: what nobody can read or do, about 10,000 at most.
func (s *Store) dead(p int) string { return s.base(p) + "dead" }

// queues is a set: the queues, and the handlers of queues, that had a ticket in
// the partition: <queue> or <queue>@<handler>.
func (s *Store) queues(p int) string { return s.base(p) + "queues" }

// run is a hash: the record of a run. The janitor deletes it, and all below it.
func (s *Store) run(p int, id string) string { return s.base(p) + "run:" + id }

// runTasks is a hash: task -> record.
func (s *Store) runTasks(p int, id string) string { return s.run(p, id) + ":tasks" }

// runOutputs is a hash: task -> result.
func (s *Store) runOutputs(p int, id string) string { return s.run(p, id) + ":outputs" }

// runChanges is a list: the run's log, an entry for each commit that changed
// something. About 10,000 at most.
func (s *Store) runChanges(p int, id string) string { return s.run(p, id) + ":changes" }

// runLines is a stream: the lines a task wrote. It expires after a week.
func (s *Store) runLines(p int, id, task string) string { return s.run(p, id) + ":lines:" + task }

// runForgotten is a set: the tasks whose records were deleted because their flow
// was retried. Their log lines stay.
func (s *Store) runForgotten(p int, id string) string { return s.run(p, id) + ":forgotten" }

// runSeeds is a hash: task -> what may be taken over from an earlier run. It
// expires after 30 days.
func (s *Store) runSeeds(p int, id string) string { return s.run(p, id) + ":seeds" }

// cached is a string: a result that is kept for other runs, in a slot of its
// own. It expires.
func (s *Store) cached(key string) string { return s.prefix + ":cache:" + key }

// runBlobs is a set: the blobs a run refers to.
func (s *Store) runBlobs(p int, id string) string { return s.run(p, id) + ":blobs" }

// blob is a string: a large value, by its SHA-256; its ":runs" is the set of
// the runs that refer to it. Without one it expires.
func (s *Store) blob(p int, digest string) string { return s.base(p) + "blob:" + digest }

// runArtifacts is a hash: artifact -> how long it is kept after the run's end,
// in milliseconds; empty is as long as the run.
func (s *Store) runArtifacts(p int, id string) string { return s.run(p, id) + ":artifacts" }

// artifact is a hash: run that refers to the artifact -> as in runArtifacts;
// or until:<whoever> -> the time until which it is kept. Who collects artifacts
// deletes it.
func (s *Store) artifact(p int, digest string) string { return s.base(p) + "artifact:" + digest }

// definition is a string: a frozen definition, deleted with its last run.
func (s *Store) definition(p int, digest string) string { return s.base(p) + "definition:" + digest }

// tickets is a stream: tickets of a queue, or of one handler of a queue, deleted
// when done.
func (s *Store) tickets(p int, stream wire.Stream) string { return s.base(p) + stream.String() }
