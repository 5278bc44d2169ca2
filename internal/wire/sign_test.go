package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func keysOf(t *testing.T, text string) Keys {
	t.Helper()
	k, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestASignatureHoldsForTheWholeTicketAlone(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Repeat("o", 32), strings.Repeat("n", 40)
	now := time.UnixMilli(1_000_000_000)
	signed := Ticket{
		ID: "1-0", Partition: 1, Queue: "q", Priority: High, Run: "r", Task: "t", Fence: "p", Attempt: 1, Handler: "h",
		Inputs: []byte(`{"a":1}`), Env: []byte(`{"b":"c"}`), Secrets: []byte(`[]`), TimeoutMs: 5, HeartbeatMs: 6, Recipe: "rec", Trace: "tr",
		PublishedMs: now.UnixMilli(),
	}
	keysOf(t, old).Sign(&signed)
	changes := map[string]func(*Ticket){
		"partition": func(t *Ticket) { t.Partition++ }, "queue": func(t *Ticket) { t.Queue = "x" }, "lane": func(t *Ticket) { t.Priority = Low },
		"run": func(t *Ticket) { t.Run += "x" }, "task": func(t *Ticket) { t.Task = "x" }, "fence": func(t *Ticket) { t.Fence = "x" },
		"attempt": func(t *Ticket) { t.Attempt++ }, "handler": func(t *Ticket) { t.Handler = "exec" }, "inputs": func(t *Ticket) { t.Inputs = []byte(`{"a":2}`) },
		"env": func(t *Ticket) { t.Env = nil }, "secrets": func(t *Ticket) { t.Secrets = []byte(`[1]`) }, "timeout": func(t *Ticket) { t.TimeoutMs = 0 },
		"heartbeat": func(t *Ticket) { t.HeartbeatMs = 0 }, "recipe": func(t *Ticket) { t.Recipe = "" }, "trace": func(t *Ticket) { t.Trace = "" },
		"time":                             func(t *Ticket) { t.PublishedMs++ },
		"a letter moved to the next field": func(t *Ticket) { t.Run, t.Task = "rt", "" },
		"no signature":                     func(t *Ticket) { t.Signature = "" },
		"another form":                     func(t *Ticket) { t.Signature = "2" + t.Signature[1:] },
		"no base64":                        func(t *Ticket) { t.Signature = "1:%" },
		"half a signature":                 func(t *Ticket) { t.Signature = t.Signature[:20] },
	}
	for name, change := range changes {
		c := signed
		change(&c)
		if err := keysOf(t, old).Verify(&c, now, 0); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	read, err := ParseTicket("2-0", asMap(signed.Fields()))
	if err != nil {
		t.Fatal(err)
	}
	read.Partition, read.Queue, read.Priority = 1, "q", High
	for keys, want := range map[string]bool{old: true, fresh + "," + old: true, fresh: false, "": true} {
		if err := keysOf(t, keys).Verify(&read, now, time.Hour); (err == nil) != want {
			t.Errorf("with the keys %q: %v", keys, err)
		}
	}
	if err := keysOf(t, old).Verify(&read, now.Add(2*time.Hour), time.Hour); !errors.Is(err, ErrSignature) {
		t.Errorf("an old ticket gives %v", err)
	}
	if _, err := ParseKeys(old + ",short"); err == nil || strings.Contains(err.Error(), "short,") || !strings.Contains(err.Error(), "key 2 has 5 bytes") {
		t.Errorf("a short key gives %v", err)
	}
}

func asMap(fields []any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i].(string)] = fields[i+1]
	}
	return m
}
