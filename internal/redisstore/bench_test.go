package redisstore_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// BenchmarkCommit commits a step of 64 runs at once, on a real Redis: by a store
// that drives them alone, and by two in turns, each of which has to ask first.
// An operation is one step of one run.
func BenchmarkCommit(b *testing.B) {
	for name, stores := range map[string]int{"alone": 1, "in turns": 2} {
		b.Run(name, func(b *testing.B) {
			srv := redistest.Real(b)
			var all []*redisstore.Store
			for range stores {
				s, err := redisstore.Open(context.Background(), redisstore.Config{URL: srv.URL})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				all = append(all, s)
			}
			commitSteps(b, all)
		})
	}
}

func commitSteps(b *testing.B, stores []*redisstore.Store) {
	b.Helper()
	const runs, steps = 64, 100
	for n := 0; n < b.N; {
		generation := strconv.Itoa(n)
		for version := range int64(steps) {
			changes := make([]wire.Commit, runs)
			for i := range changes {
				changes[i] = change("r"+generation+"-"+strconv.Itoa(i), version, "ok")
			}
			results, err := stores[version%int64(len(stores))].Commit(context.Background(), 0, changes)
			if err != nil {
				b.Fatal(err)
			}
			for i := range results {
				if results[i].Err != nil {
					b.Fatal(results[i].Err)
				}
			}
			if n += runs; n >= b.N {
				return
			}
		}
	}
}
