package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
)

func TestATicketSaysWhereSecretsBelong(t *testing.T) {
	t.Parallel()
	files := []txtar.File{{Name: "flows/a.yaml", Data: []byte(`
inputs:
  x: { type: string }
jobs:
  a:
    job: work
    secrets: [T]
    env: { OPEN: "o", KEY: "k-${secrets.T}" }
    inputs:
      list: [1, "${inputs.x} ${secrets.T}"]
      seen: "${env.OPEN}${env.KEY ?? '-'}"
`)}}
	run := New(compile(t, files, Limits{}), Create{ID: "r", Now: 1, Inputs: map[string]any{"x": "${secrets.T}"}})
	ticket := run.Step(1, 1, Event{Kind: event.Start}).Tickets[0]
	want := [3]string{
		`{"list":[1,"${secrets.T} ***"],"seen":"o-"}`,
		`{"KEY":"k-***","OPEN":"o"}`,
		`[{"at":["env","KEY"],"parts":[{"text":"k-"},{"secret":"T"}]},{"at":["inputs","list",1],"parts":[{"text":"${secrets.T} "},{"secret":"T"}]}]`,
	}
	if diff := cmp.Diff(want, [3]string{string(ticket.Inputs), string(ticket.Env), string(ticket.Secrets)}); diff != "" {
		t.Error(diff)
	}
}
