package wire

import (
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
