package wire

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
		m[fmt.Sprint(fields[i])] = fmt.Sprint(fields[i+1])
	}
	return m
}

func FuzzTicket(f *testing.F) {
	f.Add("v=1\nrun=r\ntask=a\nfence=p\nhandler=h\nattempt=1\ninputs={}\ntimeout=5\nat=9")
	f.Add("v=2\nrun=r")
	f.Add("v=1\nrun=r\ntask=a\nfence=p\nhandler=h\nattempt=99999999999999999999\ninputs={")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseTicket("1-1", entryOf(text))
		if err != nil {
			return
		}
		two, err := ParseTicket("1-1", sent(one.Fields()))
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("v=1\ntype=succeeded\nrun=r\ntask=a\nfence=p\nresult={\"a\":1}")
	f.Add("v=1\ntype=failed\nrun=r\nerror={\"code\":\"x\"}\npermanent=1\nretryAfter=5\nprogress=1e3")
	f.Add("v=1\ntype=progress\nrun=r\nprogress=NaN")
	f.Add("type=x")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseEvent("1-1", entryOf(text))
		if err != nil {
			return
		}
		two, err := ParseEvent("1-1", sent(one.Fields()))
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
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

// FuzzValid holds our check against that of encoding/json.
func FuzzValid(f *testing.F) {
	for _, text := range []string{
		"", " ", "{}", "[]", `{"a":[1,-2.5e+10,true,false,null,"x\u00e9\n"],"b":{}}`, "[1,]", "{,}", `{"a"}`, `{"a":}`, "01", "-", "1.", "1e", ".5", "+1", "tru", "nul",
		"\"\x01\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"\u0000"`, "\"\xff\"", `"a`, `"a\`, "1 2", " [ 1 , 2 ] ", "{\"a\" : 1}", "\u00a01", "-0", "-01", "1E5", "1e+", "0x1",
		strings.Repeat("[", 999) + strings.Repeat("]", 999), strings.Repeat("[", 1002) + strings.Repeat("]", 1002), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
		strings.Repeat(`{"a":`, 1500) + "1" + strings.Repeat("}", 1500), strings.Repeat("[", 1500) + "1" + strings.Repeat("]", 1499), `"\u 123"`, `"\u00\u0041"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := valid(text), json.Valid([]byte(text)); got != want {
			t.Errorf("%q is JSON: %v, want %v", text, got, want)
		}
	})
}

func BenchmarkValid(b *testing.B) {
	text := `{"payload":"` + strings.Repeat("x", 64<<10) + `"}`
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			valid(text)
		}
	})
	b.Run("encoding", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			json.Valid([]byte(text))
		}
	})
}

// TestValidOfManyTexts is the same for texts in which single letters were
// replaced, taken out or doubled.
func TestValidOfManyTexts(t *testing.T) {
	t.Parallel()
	const letters = "{}[]\",:\\ua0189eE+-. \n\ttfnrlsb/\x00\x1f\x7f\xff"
	whole := []string{`{"a":[1,-2.5e+10,true,false,null,"x\u00e9\n"],"b":{"c d":"\"\\\/"}}`, `[[],{},"",0,-0.1E-7," "]`, ` { "x" : "é" } `}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		text := whole[r.IntN(len(whole))]
		for range 1 + r.IntN(3) {
			at, b := r.IntN(len(text)), letters[r.IntN(len(letters))]
			text = text[:at] + []string{"", string(text[at]) + string(text[at]), string([]byte{b}), text[at:at+1] + string([]byte{b})}[r.IntN(4)] + text[at+1:]
			if text == "" {
				text = "0"
			}
		}
		if got, want := valid(text), json.Valid([]byte(text)); got != want {
			t.Fatalf("%q is JSON: %v, want %v", text, got, want)
		}
	}
}
