package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entryOf makes the fields of a stream entry of a text: name=value, by lines.
func entryOf(text string) map[string]any {
	m := map[string]any{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		m[name] = value
	}
	return m
}

// sent is what Redis gives back for fields that were written.
func sent(fields []any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(fields); i += 2 {
		value := fields[i+1]
		if raw, is := value.([]byte); is {
			value = string(raw)
		}
		m[fmt.Sprint(fields[i])] = fmt.Sprint(value)
	}
	return m
}

func FuzzTicket(f *testing.F) {
	f.Add(`{"r":"r","t":"a","f":"p","h":"h","n":1,"i":{},"to":5,"at":9}`)
	f.Add(`{"r":"r"}`)
	f.Add(`{"r":"r","t":"a","f":"p","h":"h","n":99999999999999999999,"i":{`)
	f.Add(`{"r":"\u00e9\ud800","t":"a","f":"p","h":"h","i":[1, {"a":null}],"zz":[[]]} `)
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseTicket("1-1", map[string]any{"v": Version, "ticket": text})
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("a ticket was read from what is not JSON: %s", text)
		}
		two, err := ParseTicket("1-1", sent(one.Fields(Keys{})))
		one.Text, two.Text, one.SignedMs, one.PublishedMs, two.PublishedMs = "", "", 0, 0, 0
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add(`[{"type":"succeeded","run":"r","task":"a","fence":"p","result":{"a":1}}]`)
	f.Add(`[{"type":"failed","run":"r","error":{"code":"x"},"permanent":true,"retryAfter":5,"progress":1e3},{"type":"started","run":"r"}]`)
	f.Add(`[{"type":"progress","run":"r","progress":"x"},{"type":"started","run":"r","worker":"w"}]`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		one, _, err := ParseEvents("1-1", map[string]any{"v": Version, "worker": "w", "events": text})
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("events were read from what is not JSON: %s", text)
		}
		if len(one) == 0 {
			return
		}
		p := EventPacker{Sender: "w"}
		for i := range one {
			if p.Add(&one[i]) != nil {
				t.Fatal("what one entry held does not fit one entry")
			}
		}
		two, bad, err := ParseEvents("1-1", sent(EventFields("w", p.Close())))
		if diff := cmp.Diff(one, two); err != nil || len(bad) > 0 || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func FuzzSubmission(f *testing.F) {
	f.Add("recipe=hello\ninput.name=Ada\nby=ann\nlabels={\"a\":\"b\"}")
	f.Add("definition=jobs: {}\ninputs={\"a\":1}")
	f.Add("from=r1")
	f.Add("recipe=x\ndefinition=y")
	f.Add("recipe=x\ninputs=[1]\nlabels=[]")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseSubmission("1-1", entryOf(text))
		if err != nil {
			return
		}
		two, err := ParseSubmission("1-1", sent(one.Fields()))
		if len(one.Labels) == 0 {
			one.Labels = nil
		}
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
