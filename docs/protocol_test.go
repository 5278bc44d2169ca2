package docs

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// protocol returns the section of docs/protocol.md with a heading.
func protocol(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	level := strings.Count(heading, "#")
	_, rest, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/protocol.md has no %q", heading)
	}
	if end := regexp.MustCompile(fmt.Sprintf(`(?m)^#{1,%d} `, level)).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// TestProtocol_PartitionVectors computes the table of run ids.
func TestProtocol_PartitionVectors(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d+) \\| (\\d+) \\| (\\d+) \\|$").FindAllStringSubmatch(protocol(t, "## Conventions"), -1)
	if len(rows) < 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(row[1]))
		want := fmt.Sprint(hash.Sum32(), wire.PartitionOf(row[1], 1), wire.PartitionOf(row[1], 16))
		if got := strings.Join(row[2:], " "); got != want {
			t.Errorf("%s: the page has %s, want %s", row[1], got, want)
		}
	}
}

// TestProtocol_SignatureVector signs the ticket of the page.
func TestProtocol_SignatureVector(t *testing.T) {
	t.Parallel()
	is := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `?(key|partition|stream|ticket|sig)`? \\| `(.+)` \\|$").FindAllStringSubmatch(protocol(t, "### Tickets"), -1) {
		is[row[1]] = row[2]
	}
	keys, err := wire.ParseKeys(is["key"])
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Sign(3, is["stream"], []byte(is["ticket"])); is["partition"] != "3" || got != is["sig"] {
		t.Errorf("the signature is %s, the page has %s", got, is["sig"])
	}
	if _, err := wire.ParseTicket("1-1", map[string]any{"v": wire.Version, "ticket": is["ticket"]}); err != nil {
		t.Error(err)
	}
}

// TestProtocol_NamesEveryKey of tickets and of workers' events, and every reserved
// name.
func TestProtocol_NamesEveryKey(t *testing.T) {
	t.Parallel()
	ticket := wire.Ticket{
		Run: "r", Task: "t", Fence: "f", Handler: "h", Attempt: 2, Inputs: []byte("1"), Blob: "b", Env: []byte("{}"), Secrets: []byte("[]"),
		TimeoutMs: 1, HeartbeatMs: 1, Recipe: "c", Trace: "tr", PublishedMs: 1,
	}
	e := wire.Event{
		Type: wire.Failed, Run: "r", Task: "t", Fence: "f", At: 1, Started: 1, Result: []byte("1"), Blob: "b", Error: &run.Error{Code: "c"},
		Permanent: true, RetryAfterMs: 1, HandlerVersion: "v", Progress: 1, Note: "n", Lines: true,
	}
	names := func(section string, words []string) {
		t.Helper()
		text := protocol(t, section)
		for _, word := range words {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("%q does not name %s", section, word)
			}
		}
	}
	names("### Tickets", keysOf(t, ticket.Append(nil, true)))
	names("### Report", keysOf(t, e.Append(nil, "")))
	for _, kind := range event.Table() {
		if kind.Stream && kind.Sender == event.Worker {
			names("### Report", []string{string(kind.Kind)})
		}
	}
	names("## Reserved", slices.Concat(wire.ReservedTicketKeys(), wire.ReservedEventTypes(), wire.ReservedEventKeys(), wire.ReservedFields()))
	for _, code := range []string{run.CodeHandler, run.CodeTimeout, run.CodeHeartbeat, run.CodeSecret, run.CodeTooLarge, run.CodeError, run.CodePanic} {
		names("### Report", []string{code})
	}
}

func keysOf(t *testing.T, raw []byte) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
