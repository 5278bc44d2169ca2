package orchestrator

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/wire"
)

func TestTheVersionOfAHandlerIsWhatItsWorkersAgreeOn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	worker := func(ago time.Duration, version string) wire.Worker {
		return wire.Worker{Seen: now.Add(-ago).UnixMilli(), Handlers: []wire.HandlerInfo{{Name: "other", Version: "9"}, {Name: "cut", Version: version}}}
	}
	for name, test := range map[string]struct {
		workers []wire.Worker
		want    string
	}{
		"no worker":                                 {nil, `"" true`},
		"none of them has a version":                {[]wire.Worker{worker(0, ""), worker(0, "")}, `"" true`},
		"all have the same":                         {[]wire.Worker{worker(0, "2"), worker(14*time.Second, "2")}, `"2" true`},
		"two versions, as during a deploy":          {[]wire.Worker{worker(0, "2"), worker(0, "1")}, `"1" false`},
		"some have a version, as during the first":  {[]wire.Worker{worker(0, "2"), worker(0, "")}, `"" false`},
		"those that are gone do not count":          {[]wire.Worker{worker(time.Minute, "1"), worker(0, "2"), worker(time.Hour, "3")}, `"2" true`},
		"unless there are no others":                {[]wire.Worker{worker(time.Minute, "1"), {Seen: now.UnixMilli()}}, `"1" true`},
		"and then they have to agree, too":          {[]wire.Worker{worker(time.Minute, "1"), worker(time.Hour, "2")}, `"2" false`},
		"a worker that never had it says nothing":   {[]wire.Worker{worker(0, "2"), {Seen: now.UnixMilli()}}, `"2" true`},
		"one worker that says the same thing twice": {[]wire.Worker{worker(0, "2"), worker(0, "2"), worker(0, "2")}, `"2" true`},
	} {
		v := gatherVersions(test.workers, now)
		if diff := cmp.Diff(test.want, fmt.Sprintf("%q %v", v.of["cut"], !v.disputed["cut"])); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if v.disputed["other"] {
			t.Errorf("%s: another handler is disputed", name)
		}
	}
}
