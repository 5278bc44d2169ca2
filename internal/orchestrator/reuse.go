package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/resume"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// cacheWait is how long a look into the cache may take: what takes longer is
// not found.
const cacheWait = time.Second

// retry is the run that goes on from an earlier one.
func (d *desk) retry(ctx context.Context, sub *wire.Submission, now time.Time) (*flow.Bundle, map[string]any, map[string]engine.Seed, error) {
	old, err := resume.Read(ctx, d.o.store, sub.From)
	if err != nil {
		return nil, nil, nil, refused(err)
	}
	c := resume.Changes{From: sub.Retry.From}
	if c.Inputs, err = givenBy(sub); err != nil {
		return nil, nil, nil, err
	}
	if sub.Definition != "" {
		def, err := d.load(ctx, sub)
		if err != nil {
			return nil, nil, nil, err
		}
		c.Definition = def.bundle
	}
	n, err := old.Next(c, now)
	if err != nil {
		return nil, nil, nil, refused(err)
	}
	labels := maps.Clone(old.Run.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, "rerunOf")
	maps.Copy(labels, sub.Labels)
	labels["retryOf"] = sub.From
	sub.Labels = labels
	return n.Bundle, n.Inputs, n.Seeds, nil
}

// refused makes a refusal of what the submitter has to mend.
func refused(err error) error {
	var p *resume.ProblemError
	if errors.As(err, &p) {
		return &refusal{text: p.Text}
	}
	return err
}

// sow keeps what a run may take over, so that whoever loads it knows.
func (o *Orchestrator) sow(ctx context.Context, id string, seeds map[string]engine.Seed) error {
	if len(seeds) == 0 {
		return nil
	}
	out := make(map[string]wire.Seed, len(seeds))
	for path, s := range seeds {
		out[path] = wire.Seed{Digest: s.Digest, Run: s.Run, Result: s.Result}
	}
	return o.store.SaveSeeds(ctx, id, out)
}

// lookUp finds out whether the result of a task is known. What cannot be found
// out is not: the task runs.
func (o *Orchestrator) lookUp(ctx context.Context, ask *engine.Query, ev *wire.Event) {
	ctx, stop := context.WithTimeout(ctx, cacheWait)
	defer stop()
	version, known, err := o.versionOf(ctx, ask.Handler)
	if err == nil && !known {
		return
	}
	var c wire.Cached
	if err == nil {
		c, err = o.store.CacheGet(ctx, engine.CacheKey(ask.Key, version))
	}
	switch {
	case err == nil:
		ev.Granted, ev.Result, ev.From = true, c.Result, c.Run
		ev.Reason = fmt.Sprintf("cached by task %s of run %s", c.Task, c.Run)
	case !errors.Is(err, wire.ErrNotFound):
		o.log.Warn("a cached result could not be looked up, so the job runs", fact.Run(ev.Run), fact.Task(ask.Task), zap.Error(err))
	}
}

// keep keeps results for other runs. One that cannot be kept is made again by
// whoever wants it.
func (pt *partition) keep(ctx context.Context, id string, keeps []engine.CachePut) {
	now := pt.o.now()
	for _, k := range keeps {
		c := wire.Cached{Key: k.Key, Run: id, Task: k.Task, Handler: k.Handler, Version: k.Version, At: now.UnixMilli(), Result: k.Value, Expires: now.Add(k.TTL).UnixMilli()}
		err := pt.o.store.KeepArtifacts(ctx, pt.p, "cache:"+k.Key, now.Add(k.TTL), artifact.Find(k.Value))
		if err == nil {
			err = pt.o.store.CachePut(ctx, c, now)
		}
		if err != nil {
			pt.o.log.Warn("a result could not be cached", append(pt.about(id), fact.Task(k.Task), zap.Error(err))...)
		}
	}
}
