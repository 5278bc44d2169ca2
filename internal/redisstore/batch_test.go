package redisstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redisstore"
)

// The memory of a batch is used again for the next one. Commands that were made
// of it must not notice.
func TestCommandsOfABatchShareNoMemoryWithTheNext(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	b := redisstore.NewBatch()
	b.Add("HSET", "key:tasks", "a", "1", "b", long)
	b.Add("ZADD", "active", "1764343000000", "run")
	b.Add("XDEL", "events")
	want := []string{"hset key:tasks a 1 b " + long, "zadd active 1764343000000 run", "xdel events"}
	sent := b.Commands(t.Context())
	b.Scribble()
	b.Add("SET", strings.Repeat("y", 100), "z")
	_ = b.Commands(t.Context())
	var got []string
	for _, cmd := range sent {
		words := []string{cmd.Name()}
		for _, a := range cmd.Args()[1:] {
			if p, is := a.(*string); is {
				a = *p
			}
			words = append(words, fmt.Sprint(a))
		}
		got = append(got, strings.Join(words, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
