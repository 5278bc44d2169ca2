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
	wrote                 []string // the tasks that have lines
	// plain says that there is no more to it: no large values, no artifacts.
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

// lookAt reads what there is to delete, all of it by one round trip.
func (s *Store) lookAt(ctx context.Context, p int, ids []string) ([]doomed, error) {
	type replies struct {
		facts            *redis.SliceCmd
		wrote            *redis.ScanCmd
		blobs, artifacts *redis.IntCmd
	}
	pipe := s.client.Pipeline()
	asked := make([]replies, len(ids))
	for i, id := range ids {
		asked[i] = replies{
			facts: pipe.HMGet(ctx, s.run(p, id), "definition", "recipe", "state"),
			wrote: pipe.SScan(ctx, s.runWrote(p, id), 0, "", tasksPage),
			blobs: pipe.Exists(ctx, s.runBlobs(p, id)), artifacts: pipe.Exists(ctx, s.runArtifacts(p, id)),
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
		wrote, more := asked[i].wrote.Val()
		d.wrote, d.plain = wrote, more == 0 && asked[i].blobs.Val()+asked[i].artifacts.Val() == 0
		all[i] = d
	}
	return all, nil
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
		for _, task := range d.wrote {
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

// release lets go of what a run that is not plain refers to, and reads all of
// the tasks that have lines.
func (s *Store) release(ctx context.Context, p int, d *doomed) error {
	wrote, err := s.set(ctx, s.runWrote(p, d.id))
	d.wrote = wrote
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
