package client

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/wire"
)

// TestSubmit_ConcurrentSubmissionsShareARoundTrip: those that come while one is
// sent go together, and one whose time is over is not sent.
func TestSubmit_ConcurrentSubmissionsShareARoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent [][]string
		release := make(chan struct{})
		o := &outbox{send: func(_ context.Context, subs []wire.Submission) ([]string, []error) {
			<-release
			var ids, entries []string
			errs := make([]error, len(subs))
			for i, sub := range subs {
				ids, entries = append(ids, sub.ID), append(entries, "entry-"+sub.ID)
				if sub.ID == "3" {
					errs[i] = errors.New("refused")
				}
			}
			sent = append(sent, ids)
			return entries, errs
		}}
		var all sync.WaitGroup
		submit := func(ctx context.Context, id string) {
			all.Go(func() {
				entry, err := o.submit(ctx, wire.Submission{ID: id})
				switch {
				case id == "1":
					if !errors.Is(err, context.Canceled) {
						t.Errorf("submission %s gives %q, %v", id, entry, err)
					}
				case id == "3":
					if err == nil || err.Error() != "refused" {
						t.Errorf("submission %s gives %q, %v", id, entry, err)
					}
				case entry != "entry-"+id || err != nil:
					t.Errorf("submission %s gives %q, %v", id, entry, err)
				}
			})
			synctest.Wait()
		}
		ended, end := context.WithCancel(t.Context())
		submit(t.Context(), "0")
		submit(ended, "1")
		for n := 2; n < 5; n++ {
			submit(t.Context(), strconv.Itoa(n))
		}
		end() // the first in the queue gives up
		synctest.Wait()
		release <- struct{}{}
		synctest.Wait() // the next batch is on its way
		submit(t.Context(), "5")
		release <- struct{}{}
		release <- struct{}{}
		all.Wait()
		if diff := cmp.Diff([][]string{{"0"}, {"2", "3", "4"}, {"5"}}, sent); diff != "" {
			t.Error(diff)
		}
		go func() { release <- struct{}{} }()
		submit(t.Context(), "6")
		all.Wait()
	})
}

// TestSubmit_ABatchIsBounded in number and in size.
func TestSubmit_ABatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		first := make(chan struct{})
		o := &outbox{send: func(_ context.Context, subs []wire.Submission) ([]string, []error) {
			<-first
			sizes = append(sizes, len(subs))
			return make([]string, len(subs)), make([]error, len(subs))
		}}
		var all sync.WaitGroup
		for n := range 1 + mostInBatch + 3 {
			all.Go(func() {
				sub := wire.Submission{}
				if n > mostInBatch {
					sub.Definition = string(make([]byte, batchBytes))
				}
				if _, err := o.submit(t.Context(), sub); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(first)
		all.Wait()
		if diff := cmp.Diff([]int{1, mostInBatch, 1, 1, 1}, sizes); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSubmit_OneThatWasToldToSendMayGiveUp: then the next one sends.
func TestSubmit_OneThatWasToldToSendMayGiveUp(t *testing.T) {
	t.Parallel()
	me, other := &sending{turn: make(chan bool, 1)}, &sending{turn: make(chan bool, 1)}
	o := &outbox{queue: []*sending{me, other}, busy: true}
	me.turn <- true
	if !o.withdraw(me) || !<-other.turn || !o.busy {
		t.Error("the next one is not told to send")
	}
	other.turn <- true
	if !o.withdraw(other) || o.busy || o.withdraw(other) {
		t.Error("the last one leaves the outbox busy")
	}
}
