package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// delayed forwards connections to a Redis and delivers every byte a fixed time
// later, in both directions: a link over a distance, whose rate is not bounded.
type delayed struct {
	listener net.Listener
	to       string
	oneWay   time.Duration
	all      sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func delay(to string, rtt time.Duration) (*delayed, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by stop
	if err != nil {
		return nil, fmt.Errorf("listen for the delayed link: %w", err)
	}
	d := &delayed{listener: l, to: to, oneWay: rtt / 2}
	d.all.Go(d.accept)
	return d, nil
}

func (d *delayed) addr() string { return d.listener.Addr().String() }

func (d *delayed) stop() {
	_ = d.listener.Close()
	d.mu.Lock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.all.Wait()
}

func (d *delayed) accept() {
	for {
		near, err := d.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", d.to) //nolint:noctx // on this machine
		if err != nil {
			_ = near.Close()
			continue
		}
		d.mu.Lock()
		d.conns = append(d.conns, near, far)
		d.mu.Unlock()
		d.all.Go(func() { d.carry(near, far) })
		d.all.Go(func() { d.carry(far, near) })
	}
}

// chunk is what was read at once, and when it is due at the other end.
type chunk struct {
	data []byte
	due  time.Time
}

func (d *delayed) carry(from, to net.Conn) {
	chunks := make(chan chunk, 4096)
	d.all.Go(func() {
		defer func() { _ = to.Close() }()
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if _, err := to.Write(c.data); err != nil {
				_ = from.Close()
			}
		}
	})
	defer close(chunks)
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			chunks <- chunk{buf[:n], time.Now().Add(d.oneWay)}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = from.Close()
			}
			return
		}
	}
}

const (
	distanceWorkers = 3
	distanceSlots   = 8 // of each worker
	distanceRuns    = 300
)

// distance is what a round trip costs Orchis.
type distance struct {
	rtt       time.Duration
	hops      hops    // of one chain of ten after another, in milliseconds
	perSecond float64 // jobs, of many chains at once
}

// possible is the rate that the slots allow: each is busy for the job, which
// takes no time here, and for one round trip until it has the next.
func (d distance) possible() float64 {
	return distanceWorkers * distanceSlots / d.rtt.Seconds()
}

func (d distance) String() string {
	ms := func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
	return fmt.Sprintf("at %s round trip: a hop takes %s ms, %.2f round trips (p50; p99 %.2f); %d chains of 10 no-ops on %d slots: %.0f jobs/s, %.0f %% of slots / round trip",
		d.rtt, ms(d.hops.at(.5)), d.trips(.5), d.trips(.99), distanceRuns, distanceWorkers*distanceSlots, d.perSecond, 100*d.perSecond/d.possible())
}

func (d distance) trips(share float64) float64 {
	return d.hops.at(share) / (float64(d.rtt.Microseconds()) / 1000)
}

// distances measures some round trips.
func (b *bench) distances(ctx context.Context, rtts string) ([]distance, error) {
	var all []distance
	for text := range strings.SplitSeq(rtts, ",") {
		rtt, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || rtt < time.Millisecond || rtt > time.Second {
			return nil, fmt.Errorf("the round trip %q is not a duration from 1ms to 1s", text)
		}
		d, err := b.distance(ctx, rtt)
		if err != nil {
			return nil, fmt.Errorf("at a round trip of %s: %w", rtt, err)
		}
		_, _ = fmt.Fprintln(os.Stdout, d)
		all = append(all, d)
	}
	return all, nil
}

func (b *bench) distance(ctx context.Context, rtt time.Duration) (distance, error) {
	out := distance{rtt: rtt}
	in, err := install(ctx, b.dir, b.built, setup{aof: "off", slots: distanceSlots, workers: distanceWorkers, rtt: rtt})
	if err != nil {
		return out, err
	}
	defer in.stop()
	if out.hops, err = in.idleHops(ctx, 3); err != nil {
		return out, err
	}
	m, err := in.through(ctx, load{flow: "chain10", runs: distanceRuns})
	if err != nil {
		return out, err
	}
	out.perSecond = distanceRuns * chainLength / m.took.Seconds()
	return out, nil
}
