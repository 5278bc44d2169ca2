package client_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.Open(t.Context(), client.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var callsOf = regexp.MustCompile(`cmdstat_(\S+?):calls=(\d+)`)

// commands counts the commands that a server has carried out, by name.
func commands(t *testing.T, srv redistest.Server) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, m := range callsOf.FindAllStringSubmatch(srv.Do(t, "INFO", "commandstats"), -1) {
		out[m[1]], _ = strconv.Atoi(m[2])
	}
	return out
}

// blocked counts the connections that wait in a blocking read of an inbox.
func blocked(t *testing.T, srv redistest.Server) (n int) {
	t.Helper()
	for line := range strings.Lines(srv.Do(t, "CLIENT", "LIST")) {
		if strings.Contains(line, " flags=b") && strings.Contains(line, " cmd=xread ") {
			n++
		}
	}
	return n
}

// TestWait_WithoutAnOrchestratorCostsAFewCommandsASecond however many calls wait.
func TestWait_WithoutAnOrchestratorCostsAFewCommandsASecond(t *testing.T) {
	t.Parallel()
	for _, calls := range []int{1, 200} {
		t.Run(strconv.Itoa(calls), func(t *testing.T) {
			t.Parallel()
			srv := redistest.Real(t)
			c := connect(t, srv.URL)
			before := commands(t, srv)
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
			defer stop()
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					if _, err := c.Run(ctx, client.Request{Recipe: "hello"}); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("it ends with %v", err)
					}
				})
			}
			all.Wait()
			after := commands(t, srv)
			delete(after, "xadd")
			delete(after, "info")
			total := 0
			for name, n := range after {
				if n -= before[name]; !strings.HasPrefix(name, "client") && name != "hello" && !strings.HasPrefix(name, "command") {
					total += n
				}
			}
			if total > 30 { // 8 at once, then 4 a second, and the blocking reads
				t.Errorf("%d calls send %d commands in 3 s: %v", calls, total, after)
			}
		})
	}
}

func TestInbox_ManyCallsWaitOnOneConnectionWithoutPolling(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	const calls = 200
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			r, err := c.Run(t.Context(), client.Request{Recipe: "hello"})
			if err != nil || r.State != run.Succeeded || string(r.Outputs) != `"done"` || !strings.HasPrefix(r.ID, "run-") {
				t.Errorf("the run is %+v, %v", r, err)
			}
		})
	}
	redistest.Until(t, "all calls wait", func() bool { return srv.Do(t, "XLEN", "orchis:submit") == strconv.Itoa(calls) })
	if n := blocked(t, srv); n != 1 {
		t.Errorf("%d connections wait", n)
	}
	o.serve()
	all.Wait()
	took := commands(t, srv)
	// Each run is read once, after its end; the rest are checks for lost messages.
	if n := took["hgetall"] - calls; n > 60 {
		t.Errorf("for %d runs were sent %v", calls, took)
	}
	if took["xread"] > calls {
		t.Errorf("the inbox was read %d times", took["xread"])
	}
}

// TestInbox_NothingWaitsWhenNoCallDoes: the connection is given back.
func TestInbox_NothingWaitsWhenNoCallDoes(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	o.serve()
	if _, err := c.Run(t.Context(), client.Request{Recipe: "hello"}); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "no connection waits", func() bool { return blocked(t, srv) == 0 })
	before := commands(t, srv)["xread"]
	if _, err := c.Run(t.Context(), client.Request{Recipe: "hello"}); err != nil {
		t.Fatal(err)
	}
	if commands(t, srv)["xread"] == before {
		t.Error("the next call does not read the inbox")
	}
}

// TestInbox_LostMessagesAreMadeUpFor soon, also when many were lost at once.
func TestInbox_LostMessagesAreMadeUpFor(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		c, o := connect(t, srv.URL), newOrchestrator(t, srv)
		o.silent = true
		o.serve()
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				if r, err := c.Run(ctx, client.Request{Recipe: "hello"}); err != nil || r.State != run.Succeeded {
					t.Errorf("the run is %+v, %v", r, err)
				}
				if err := c.Pause(ctx, "r", "ann", ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestInbox_SurvivesABrokenConnection and a deleted key.
func TestInbox_SurvivesABrokenConnection(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	link := redistest.NewLink(t, srv, "client")
	c, o := connect(t, link.URL), newOrchestrator(t, srv)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	waits := func() (end func()) {
		t.Helper()
		done := make(chan error, 1)
		go func() {
			_, err := c.Run(ctx, client.Request{Recipe: "hello"})
			done <- err
		}()
		redistest.Until(t, "the client waits", func() bool {
			return srv.Do(t, "XLEN", "orchis:submit") == "1" && blocked(t, srv) == 1
		})
		return func() {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	end := waits()
	link.Cut()
	o.serve()
	end()
	srv.Do(t, "FLUSHALL") // the inbox with all else
	if err := o.store.Recover(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Run(ctx, client.Request{Recipe: "hello"}); err != nil || r.State != run.Succeeded {
		t.Errorf("after that the run is %+v, %v", r, err)
	}
}

// TestInbox_OneThatBeginsAnewIsRead: after the clock of Redis was set back the
// ids of messages are lower than those that were read.
func TestInbox_OneThatBeginsAnewIsRead(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	o.serve()
	if _, err := c.Run(t.Context(), client.Request{Recipe: "hello"}); err != nil {
		t.Fatal(err)
	}
	keys := srv.Do(t, "KEYS", "orchis:inbox:*")
	id := strings.Trim(keys, "[]")
	srv.Do(t, "XADD", id, "9999999999999-0", "messages", `[]`)
	if _, err := c.Run(t.Context(), client.Request{Recipe: "hello"}); err != nil { // reads that
		t.Fatal(err)
	}
	srv.Do(t, "DEL", id)
	redistest.Until(t, "messages arrive again", func() bool {
		before := commands(t, srv)["zmscore"]
		if _, err := c.Run(t.Context(), client.Request{Recipe: "hello"}); err != nil {
			t.Fatal(err)
		}
		return commands(t, srv)["zmscore"] == before // no check was needed
	})
}

// TestInbox_ALongRejectionIsWhole: it does not fit into a message.
func TestInbox_ALongRejectionIsWhole(t *testing.T) {
	t.Parallel()
	srv := redistest.Embedded(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	o.rejects = true
	o.serve()
	_, err := c.Start(t.Context(), client.Request{Recipe: "hello"})
	var no *client.RejectedError
	if !errors.As(err, &no) || no.Reason != strings.Repeat("no. ", 2000) {
		t.Errorf("the error is %v", err)
	}
}

// TestWait_RunsOfOthersAreWaitedForTogether: one command looks for all of them.
func TestWait_RunsOfOthersAreWaitedForTogether(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	const runs = 100
	for n := range runs {
		o.commit(t.Context(), fmt.Sprint("r", n), 0, run.Run{State: run.Running, Inbox: "another-client"})
	}
	var all sync.WaitGroup
	for n := range 2 * runs {
		all.Go(func() {
			id := fmt.Sprint("r", n%runs)
			if r, err := c.Wait(t.Context(), id); err != nil || r.State != run.Failed || r.ID != id {
				t.Errorf("run %s is %+v, %v", id, r, err)
			}
		})
	}
	redistest.Until(t, "all calls wait", func() bool { return commands(t, srv)["hgetall"] >= 2*runs })
	before := commands(t, srv)
	redistest.Until(t, "they were checked a few times", func() bool { return commands(t, srv)["zmscore"] >= before["zmscore"]+4 })
	after := commands(t, srv)
	if n := after["hget"] - before["hget"]; n > 20 {
		t.Errorf("%d runs were looked at", n)
	}
	for n := range runs {
		o.commit(t.Context(), fmt.Sprint("r", n), 1, run.Run{State: run.Failed})
	}
	all.Wait()
}

func TestWait_ARunThatIsDeletedIsNotFound(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		c, o := connect(t, srv.URL), newOrchestrator(t, srv)
		if _, err := c.Wait(t.Context(), "none"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("of no run it says %v", err)
		}
		o.commit(t.Context(), "r", 0, run.Run{State: run.Running})
		done := make(chan error, 1)
		go func() {
			_, err := c.Wait(t.Context(), "r")
			done <- err
		}()
		if err := o.store.DeleteRuns(t.Context(), 0, []string{"r"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, client.ErrNotFound) {
			t.Errorf("of a run that is deleted it says %v", err)
		}
	})
}

// TestWait_EndsWhenTheClientIsClosed, or the context.
func TestWait_EndsWhenTheClientIsClosed(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c := connect(t, srv.URL)
	reason := errors.New("the reason")
	ctx, stop := context.WithCancelCause(t.Context())
	done := make(chan error, 2)
	go func() {
		_, err := c.Start(ctx, client.Request{Recipe: "hello"})
		done <- err
	}()
	redistest.Until(t, "it is submitted", func() bool { return srv.Do(t, "XLEN", "orchis:submit") == "1" })
	stop(reason)
	if err := <-done; !errors.Is(err, reason) || !strings.Contains(err.Error(), "wait for an orchestrator to answer submission ") {
		t.Errorf("it ends with %v", err)
	}
	go func() { done <- c.Pause(t.Context(), "r", "ann", "") }()
	redistest.Until(t, "it is asked", func() bool { return srv.Do(t, "XLEN", "orchis:control") == "1" })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("it ends with %v", err)
	}
	if _, err := c.Wait(t.Context(), "r"); err == nil {
		t.Error("a closed client waits")
	}
}

// TestWait_ManyWatchOneRunForThePriceOfOne.
func TestWait_ManyWatchOneRunForThePriceOfOne(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	c, o := connect(t, srv.URL), newOrchestrator(t, srv)
	o.commit(t.Context(), "r", 0, run.Run{State: run.Running})
	var all, first sync.WaitGroup
	first.Add(100)
	for range 100 {
		all.Go(func() {
			saw := 0
			err := c.Watch(t.Context(), "r", func(changes []run.Change) error {
				if saw += len(changes); saw == 1 && len(changes) == 1 {
					first.Done()
				}
				return nil
			})
			if err != nil || saw != 2 {
				t.Errorf("%d changes were seen, %v", saw, err)
			}
		})
	}
	first.Wait()
	before := commands(t, srv)["hget"]
	redistest.Until(t, "the version was read a few times", func() bool { return commands(t, srv)["hget"] >= before+3 })
	if n := commands(t, srv)["hget"] - before; n > 20 {
		t.Errorf("the version was read %d times", n)
	}
	o.commit(t.Context(), "r", 1, run.Run{State: run.Succeeded})
	all.Wait()
}
