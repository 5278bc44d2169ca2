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

func TestSignature_CoversTheWholeTicketAndItsStream(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Repeat("o", 32), strings.Repeat("n", 40)
	now := time.UnixMilli(1_000_000_000)
	signed := Ticket{
		ID: "1-0", Partition: 1, Queue: "q", Priority: High, Run: "r", Task: "t", Fence: "p", Attempt: 1, Handler: "h",
		Inputs: []byte(`{"a":1}`), Env: []byte(`{"b":"c"}`), Secrets: []byte(`[]`), TimeoutMs: 5, HeartbeatMs: 6, Recipe: "rec", Trace: "tr",
		PublishedMs: now.UnixMilli(),
	}
	read := signed
	parse := func(fields []any) {
		t.Helper()
		got, err := ParseTicket("2-0", sent(fields))
		if err != nil {
			t.Fatal(err)
		}
		got.Partition, got.Queue, got.Priority = read.Partition, read.Queue, read.Priority
		read = got
	}
	parse(signed.Fields(keysOf(t, old)))
	changes := map[string]func(*Ticket){
		"partition": func(t *Ticket) { t.Partition++ }, "queue": func(t *Ticket) { t.Queue = "x" }, "lane": func(t *Ticket) { t.Priority = Low },
		"handler":          func(t *Ticket) { t.Text = strings.Replace(t.Text, `"h":"h"`, `"h":"exec"`, 1) },
		"a blank":          func(t *Ticket) { t.Text += " " },
		"another key":      func(t *Ticket) { t.Text = strings.Replace(t.Text, "}", `,"new":1}`, 1) },
		"no signature":     func(t *Ticket) { t.Signature = "" },
		"another form":     func(t *Ticket) { t.Signature = "1" + t.Signature[1:] },
		"no base64":        func(t *Ticket) { t.Signature = "2:%" },
		"half a signature": func(t *Ticket) { t.Signature = t.Signature[:20] },
	}
	for name, change := range changes {
		c := read
		change(&c)
		if err := keysOf(t, old).Verify(&c, now, 0); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
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
