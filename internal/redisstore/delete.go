package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// deleteAtOnce is how many runs are deleted by the same few commands.
const deleteAtOnce = 100

// doomed is a run that is to be deleted, with what it leads to.
type doomed struct {
	id                    string
	digest, recipe, state string
	tasks                 []string // that may have log lines
	// plain says that the run has few tasks, no large values and no artifacts.
	plain bool
}

// DeleteRuns deletes everything of runs, and definitions that nobody uses any
// more. A run's record goes with the last of it: until then it is tried again.
func (s *Store) DeleteRuns(ctx context.Context, p int, ids []string) error {
	for len(ids) > 0 {
		n := min(deleteAtOnce, len(ids))
		all, err := s.lookAt(ctx, p, ids[:n])
		if err != nil {
			return fmt.Errorf("delete runs: %w", err)
		}
		if err := s.deleteAll(ctx, p, all); err != nil {
			return fmt.Errorf("delete runs: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// lookAt finds out what there is to delete, in two round trips.
func (s *Store) lookAt(ctx context.Context, p int, ids []string) ([]doomed, error) {
	type replies struct {
		facts       *redis.SliceCmd
		tasks, more *redis.IntCmd
	}
	pipe := s.client.Pipeline()
	asked := make([]replies, len(ids))
	for i, id := range ids {
		asked[i] = replies{
			facts: pipe.HMGet(ctx, s.run(p, id), "definition", "recipe", "state"),
			tasks: pipe.HLen(ctx, s.runTasks(p, id)),
			more:  pipe.Exists(ctx, s.runBlobs(p, id), s.runArtifacts(p, id), s.runForgotten(p, id)),
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	all := make([]doomed, len(ids))
	for i, id := range ids {
		facts := asked[i].facts.Val()
		d := doomed{id: id}
		d.digest, _ = facts[0].(string)
		d.recipe, _ = facts[1].(string)
		d.state, _ = facts[2].(string)
		d.plain = asked[i].more.Val() == 0 && asked[i].tasks.Val() <= tasksPage
		all[i] = d
	}
	return all, s.nameTasks(ctx, p, all)
}

// nameTasks reads the names of the tasks of plain runs.
func (s *Store) nameTasks(ctx context.Context, p int, all []doomed) error {
	pipe := s.client.Pipeline()
	names := make([]*redis.StringSliceCmd, len(all))
	for i := range all {
		if all[i].plain {
			names[i] = pipe.HKeys(ctx, s.runTasks(p, all[i].id))
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i := range all {
		if all[i].plain {
			all[i].tasks = names[i].Val() // mutant: lines-deleted-with-run (skip)
		}
	}
	return nil
}

// deleteAll deletes runs: what they lead to, and then the runs.
func (s *Store) deleteAll(ctx context.Context, p int, all []doomed) error {
	var lines []string
	users := map[string][]any{}
	for i := range all {
		d := &all[i]
		if !d.plain {
			if err := s.release(ctx, p, d); err != nil {
				return fmt.Errorf("run %s: %w", d.id, err)
			}
		}
		for _, task := range d.tasks {
			lines = append(lines, s.runLines(p, d.id, task))
		}
		if d.digest != "" {
			users[d.digest] = append(users[d.digest], d.id)
		}
	}
	if err := s.unlink(ctx, lines); err != nil {
		return err
	}
	for digest, ids := range users {
		if err := s.releaseDefinition(ctx, p, digest, ids); err != nil {
			return err
		}
	}
	return s.deleteRecords(ctx, p, all)
}

// release releases what a run that is not plain refers to, and reads the names of
// its tasks.
func (s *Store) release(ctx context.Context, p int, d *doomed) error {
	tasks, err := s.taskNames(ctx, p, d.id)
	d.tasks = tasks
	return errors.Join(err, s.releaseBlobs(ctx, p, d.id), s.releaseArtifacts(ctx, p, d.id))
}

// releaseDefinition deletes a definition with its last run. It is one script:
// a run that begins with it in between would lose it.
func (s *Store) releaseDefinition(ctx context.Context, p int, digest string, ids []any) error {
	def := s.definition(p, digest)
	// mutant: definition-in-use (replace ":runs" by ":others")
	if err := redis.NewScript(releaseSource).Run(ctx, s.client, []string{def, def + ":runs"}, append([]any{0}, ids...)...).Err(); err != nil {
		return fmt.Errorf("delete definition %s: %w", digest, err)
	}
	return nil
}

// deleteRecords deletes runs that nothing else is left of.
func (s *Store) deleteRecords(ctx context.Context, p int, all []doomed) error {
	pipe := s.client.TxPipeline()
	ids := make([]any, len(all))
	names := make([]string, len(all))
	for i := range all {
		d := &all[i]
		ids[i], names[i] = d.id, d.id
		pipe.Unlink(ctx, s.ownKeys(p, d.id)...)
		for _, index := range doneIndexes(d.recipe, d.state) {
			pipe.ZRem(ctx, s.base(p)+index, d.id)
		}
	}
	pipe.HDel(ctx, s.doneBytes(p), names...)
	for _, key := range []string{s.begun(p), s.done(p), s.retained(p), s.active(p)} {
		pipe.ZRem(ctx, key, ids...)
	}
	for side := range wire.Sides {
		pipe.Set(ctx, s.markKey(p, side), s.sign(), 0) // mutant: deletion-writes-mark (skip)
	}
	_, err := pipe.Exec(ctx)
	return err
}
