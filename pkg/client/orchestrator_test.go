package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// orchestrator plays the part of one that clients see, through a connection of
// its own. Runs end as soon as they are accepted.
type orchestrator struct {
	t     *testing.T
	store *redisstore.Store
	// silent sends no messages, as when all of them are lost; rejects answers so.
	silent, rejects bool
}

func newOrchestrator(t *testing.T, srv redistest.Server) *orchestrator {
	t.Helper()
	s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &orchestrator{t: t, store: s}
}

// serve answers until the test ends.
func (o *orchestrator) serve() {
	alive, stop := context.WithCancel(context.WithoutCancel(o.t.Context()))
	ctx := context.WithoutCancel(alive)
	var all sync.WaitGroup
	all.Go(func() {
		for alive.Err() == nil {
			subs, err := o.store.ReadSubmissions(ctx, "o", 100, 20*time.Millisecond)
			if err != nil {
				o.t.Error(err)
				return
			}
			o.accept(ctx, subs)
		}
	})
	all.Go(func() {
		for alive.Err() == nil {
			requests, err := o.store.ReadControl(ctx, "o", 100, 20*time.Millisecond, time.Minute)
			if err != nil {
				o.t.Error(err)
				return
			}
			for _, c := range requests {
				a := wire.AnswerTo{Entry: c.Entry, Inbox: o.inbox(c.Inbox), Answer: wire.Answer{State: wire.Accepted, Run: c.Run}}
				if err := o.store.AnswerControl(ctx, a, time.Minute); err != nil {
					o.t.Error(err)
				}
			}
		}
	})
	o.t.Cleanup(func() { stop(); all.Wait() })
}

func (o *orchestrator) inbox(id string) string {
	if o.silent {
		return ""
	}
	return id
}

// accept creates the runs of submissions, which end at once, and answers.
func (o *orchestrator) accept(ctx context.Context, subs []wire.Submission) {
	if len(subs) == 0 {
		return
	}
	var answers []wire.AnswerTo
	ends := map[string][]wire.Message{}
	for _, sub := range subs {
		a := wire.AnswerTo{Entry: sub.Entry, Inbox: o.inbox(sub.Inbox), Answer: wire.Answer{State: wire.Rejected, Error: strings.Repeat("no. ", 2000)}}
		if !o.rejects {
			a.Answer = wire.Answer{State: wire.Accepted, Run: "run-" + sub.Entry}
			o.commit(ctx, a.Run, 0, run.Run{State: run.Succeeded, Inbox: sub.Inbox, Outputs: []byte(`"done"`)})
			if !o.silent {
				ends[sub.Inbox] = append(ends[sub.Inbox], wire.Message{Run: a.Run, State: "succeeded"})
			}
		}
		answers = append(answers, a)
	}
	if err := errors.Join(o.store.AnswerSubmissions(ctx, answers, time.Minute), o.store.Notify(ctx, ends)); err != nil {
		o.t.Error(err)
	}
}

func (o *orchestrator) commit(ctx context.Context, id string, version int64, rec run.Run) {
	c := wire.Commit{Run: id, Version: version, Fields: rec.Fields(), Log: []byte(`[5,{"run":"` + string(rec.State) + `"}]`)}
	if rec.State.Final() {
		c.Done = 6
	}
	res, err := o.store.Commit(ctx, 0, []wire.Commit{c})
	if err != nil || res[0].Err != nil {
		o.t.Error(res, err)
	}
}
