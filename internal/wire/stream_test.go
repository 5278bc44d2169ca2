package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStream_NameAndBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Stream{
		"tickets:default":                {Queue: "default", Priority: Normal},
		"tickets:default:high":           {Queue: "default", Priority: High},
		"tickets:gpu@encodeVideo":        {Queue: "gpu", Handler: "encodeVideo", Priority: Normal},
		"tickets:gpu@encodeVideo:low":    {Queue: "gpu", Handler: "encodeVideo", Priority: Low},
		"tickets:default@a%3Ahigh":       {Queue: "default", Handler: "a:high", Priority: Normal},
		"tickets:default@a%3Ahigh:high":  {Queue: "default", Handler: "a:high", Priority: High},
		"tickets:default@%25%7B%40%7D":   {Queue: "default", Handler: "%{@}", Priority: Normal},
		"tickets:default@größe.v2-x_1":   {Queue: "default", Handler: "größe.v2-x_1", Priority: Normal},
		"tickets:default@größe.v2-x:low": {Queue: "default", Handler: "größe.v2-x", Priority: Low},
	} {
		got, err := ParseStream(name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
		if want.String() != name {
			t.Errorf("%+v is written %s, want %s", want, want.String(), name)
		}
	}
	if (Stream{Queue: "q"}).String() != "tickets:q" {
		t.Error("no priority is not the normal lane")
	}
}

func TestStream_RefusesOtherNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "events", "tickets:", "tickets:@h", "tickets:q@", "tickets:q:middle", "tickets:q:high:x", "tickets:q@%zz", "tickets::low"} {
		if s, err := ParseStream(name); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q gives %+v, %v", name, s, err)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add("default", "h", uint8(1))
	f.Add("q", "a:high", uint8(2))
	f.Fuzz(func(t *testing.T, queue, handler string, lane uint8) {
		if CheckQueue(queue) != nil {
			t.Skip("no name for a queue")
		}
		want := Stream{Queue: queue, Handler: handler, Priority: Lanes()[lane%3]}
		if got, err := ParseStream(want.String()); err != nil || got != want {
			t.Errorf("%+v comes back as %+v, %v", want, got, err)
		}
	})
}

func TestCheckQueue(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"default": true, "_a-1": true, "": false, "-a": false, "1a": false, "a@b": false, "a:high": false, "ä": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		if err := CheckQueue(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
