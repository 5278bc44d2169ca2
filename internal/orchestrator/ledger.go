package orchestrator

import (
	"context"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// ledger tracks the entries of the event stream that were read and are not
// acknowledged. An entry holds up to 256 events of many runs, which different
// commits cover; it may be acknowledged once all of them are covered. Until
// then a crash delivers the whole entry again, and what was covered is stale.
//
// Invariant: an entry is in open while one of its events is in memory.
type ledger struct {
	open map[string]*wire.Entry
	// ready are entries that no commit could acknowledge: their events were
	// covered by several commits, or had no effect.
	ready []string
	// acking is closed when the acknowledgement under way is done; nil for none.
	acking chan struct{}
}

// add notes events that were read.
func (l *ledger) add(events []wire.Event) {
	if l.open == nil {
		l.open = map[string]*wire.Entry{}
	}
	for i := range events {
		l.open[events[i].Entry.ID] = events[i].Entry
	}
}

// without drops events whose entry is in memory already: an entry that waits
// here for long looks abandoned to a claim.
func (l *ledger) without(events []wire.Event) []wire.Event {
	var rest []wire.Event
	for _, ev := range events {
		if l.open[ev.Entry.ID] == nil {
			rest = append(rest, ev)
		}
	}
	return rest
}

// cover notes that a commit has covered an event, or that it has no effect.
// acked says that the commit acknowledged the entry, too.
func (l *ledger) cover(ev *wire.Event, acked bool) {
	e := ev.Entry
	if e.Covered++; e.Covered < e.Events { // mutant: entry-acked-when-covered (false)
		return
	}
	if l.open[e.ID] == e {
		delete(l.open, e.ID)
	}
	if !acked {
		l.ready = append(l.ready, e.ID)
	}
}

// abandon leaves the entry of an event pending in Redis, to be claimed again.
func (l *ledger) abandon(ev *wire.Event) {
	if l.open[ev.Entry.ID] == ev.Entry {
		delete(l.open, ev.Entry.ID)
	}
}

// ackReady acknowledges entries that no commit could. An error needs no
// attention: such an entry is delivered again and has no effect.
func (pt *partition) ackReady(ctx context.Context) {
	l := &pt.ledger
	if len(l.ready) == 0 {
		return
	}
	if l.acking != nil {
		select {
		case <-l.acking:
		default:
			return // one at a time; these follow
		}
	}
	ids, done := l.ready, make(chan struct{})
	l.ready, l.acking = nil, done
	ack := func() {
		defer close(done)
		if err := pt.o.store.AckEvents(ctx, pt.p, ids); err != nil {
			pt.o.log.Debug("events were not acknowledged", zap.Int("partition", pt.p), zap.Error(err))
		}
	}
	if pt.o.concurrent {
		go ack()
	} else {
		ack()
	}
}

// endAcks waits for the acknowledgement under way and sends the rest.
func (pt *partition) endAcks(ctx context.Context) {
	for range 2 {
		if pt.ledger.acking != nil {
			<-pt.ledger.acking
			pt.ledger.acking = nil
		}
		pt.ackReady(ctx)
	}
	if pt.ledger.acking != nil {
		<-pt.ledger.acking
	}
}

// share is the part of an entry's events that one change covers.
type share struct{ events, commits, last, named int }

// nameAcks adds to each commit the entries that this change can acknowledge:
// those of which it covers all events that were not covered before.
func (ch *change) nameAcks() {
	var shares map[*wire.Entry]*share
	for i, t := range ch.who {
		for k := range t.events {
			e := t.events[k].Entry
			if e.Events == 1 {
				ch.commits[i].Acks = append(ch.commits[i].Acks, wire.Ack{Entry: e.ID, Of: 1})
				continue
			}
			s := shares[e]
			if s == nil {
				if shares == nil {
					shares = map[*wire.Entry]*share{}
				}
				s = &share{}
				shares[e] = s
			}
			if s.events++; s.last != i+1 {
				s.commits, s.last = s.commits+1, i+1
			}
		}
	}
	if shares == nil {
		return
	}
	for i, t := range ch.who {
		for k := range t.events {
			e := t.events[k].Entry
			if s := shares[e]; s != nil && s.named != i+1 && e.Covered+s.events == e.Events { // mutant: entry-covered-by-all (without 3)
				s.named = i + 1
				ch.commits[i].Acks = append(ch.commits[i].Acks, wire.Ack{Entry: e.ID, Of: s.commits})
			}
		}
	}
}

// acked returns the entries that the store has acknowledged with this change:
// those named by commits which were all written.
func (ch *change) acked() map[string]bool {
	written := map[string]int{}
	acked := map[string]bool{}
	for i, res := range ch.results {
		if res.Err != nil {
			continue
		}
		for _, a := range ch.commits[i].Acks {
			if written[a.Entry]++; written[a.Entry] == a.Of {
				acked[a.Entry] = true
			}
		}
	}
	return acked
}
