package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a test waits for others to do something. It is generous,
// since the machine may be busy; a test that passes does not wait for it.
const patience = 90 * time.Second

// Until waits for something that others do, and fails the test when it does not
// happen within a minute and a half. With details, the failure shows what they
// return then.
func Until(t testing.TB, what string, is func() bool, details ...func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	late := time.After(patience)
	for n := 1; !is(); n++ {
		select {
		case <-tick.C:
		case <-late:
			var text strings.Builder
			for _, detail := range details {
				text.WriteString("\n" + detail())
			}
			t.Fatalf("gave up after %s and %d checks waiting until %s%s", time.Since(began).Round(time.Second), n, what, text.String())
		}
	}
}

// Until is the function Until; its failure shows all keys of the server.
func (s Server) Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	Until(t, what, is, func() string { return s.Contents(context.WithoutCancel(t.Context())) })
}

// most limits how much of a value Contents shows, and how many elements of a key.
const (
	mostText     = 200
	mostElements = 8
)

// Contents returns the keys of a server that is one Redis as text, with their
// values, for failures of tests. Long ones are cut.
func (s Server) Contents(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o, err := redis.ParseURL(s.URL)
	if err != nil {
		return err.Error()
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	keys, err := c.Keys(ctx, s.Prefix+"*").Result()
	if err != nil {
		return "the keys cannot be read: " + err.Error()
	}
	slices.Sort(keys)
	var text strings.Builder
	for _, key := range keys {
		kind := c.Type(ctx, key).Val()
		fmt.Fprintf(&text, "%s (%s)\n", key, kind)
		for i, line := range contentsOf(ctx, c, key, kind) {
			if i == mostElements {
				text.WriteString("    ...\n")
				break
			}
			if len(line) > mostText {
				line = line[:mostText] + " ..."
			}
			fmt.Fprintf(&text, "    %q\n", line)
		}
	}
	return text.String()
}

// contentsOf returns the elements of one key. Streams show their groups and
// which entries a consumer holds.
func contentsOf(ctx context.Context, c *redis.Client, key, kind string) []string {
	var lines []string
	switch kind {
	case "string":
		lines = append(lines, c.Get(ctx, key).Val())
	case "list":
		lines = c.LRange(ctx, key, 0, mostElements).Val()
	case "set":
		lines = c.SMembers(ctx, key).Val()
		slices.Sort(lines)
	case "hash":
		for field, value := range c.HGetAll(ctx, key).Val() {
			lines = append(lines, field+" = "+value)
		}
		slices.Sort(lines)
	case "zset":
		for _, z := range c.ZRangeWithScores(ctx, key, 0, mostElements).Val() {
			lines = append(lines, fmt.Sprintf("%v at %.0f", z.Member, z.Score))
		}
	case "stream":
		for _, g := range c.XInfoGroups(ctx, key).Val() {
			lines = append(lines, fmt.Sprintf("group %s has delivered up to %s; %d entries are pending", g.Name, g.LastDeliveredID, g.Pending))
			for _, p := range c.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: key, Group: g.Name, Start: "-", End: "+", Count: mostElements}).Val() {
				lines = append(lines, fmt.Sprintf("  %s pending for %s, idle %s, delivered %d times", p.ID, p.Consumer, p.Idle, p.RetryCount))
			}
		}
		for _, m := range c.XRangeN(ctx, key, "-", "+", mostElements).Val() {
			lines = append(lines, fmt.Sprintf("%s %v", m.ID, m.Values))
		}
	}
	return lines
}
