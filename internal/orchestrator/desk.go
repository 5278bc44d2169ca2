package orchestrator

import (
	"context"
	"fmt"
	"strings"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// desk is where a batch of submissions is dealt with: what several of them want
// is looked up once.
type desk struct {
	o      *Orchestrator
	loaded map[source]*loaded
	live   []wire.Worker
	asked  bool
}

// source is where a definition comes from: a name, or its text.
type source struct{ recipe, definition string }

// loaded is a definition, made ready when it is first needed.
type loaded struct {
	bundle  *flow.Bundle
	err     error
	program *engine.Program
	text    []byte
	digest  string
}

// prepare compiles the definition and writes it down.
func (l *loaded) prepare(limits engine.Limits) (err error) {
	if l.program != nil {
		return nil
	}
	program, err := safely("compile the definition", func() (*engine.Program, error) {
		program, err := engine.Compile(l.bundle, limits)
		if err != nil {
			return nil, &refusal{text: err.Error()}
		}
		return program, nil
	})
	if err != nil {
		return err
	}
	if l.text, err = l.bundle.Encode(); err != nil {
		return err
	}
	if l.digest, err = l.bundle.Digest(); err != nil {
		return err
	}
	l.program = program
	return nil
}

// workers are those that were heard of a short time ago.
func (d *desk) workers(ctx context.Context) ([]wire.Worker, error) {
	if d.asked {
		return d.live, nil
	}
	all, err := d.o.store.Workers(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Alive(d.o.now()) {
			d.live = append(d.live, all[i])
		}
	}
	d.asked = true
	return d.live, nil
}

// contracts is what live workers say of their handlers. Whether there is one at
// all is another question, see checkHandlers.
func (d *desk) contracts(ctx context.Context) (flow.Contracts, error) {
	known := flow.Contracts{Handlers: map[string]flow.Contract{}}
	workers, err := d.workers(ctx)
	if err != nil {
		return known, err
	}
	for _, w := range workers {
		for _, h := range w.Handlers {
			known.Handlers[h.Name] = flow.Contract{Handler: h.Name, Description: h.Description, Version: h.Version, Inputs: flow.ShapeOf(h.Inputs), Outputs: flow.ShapeOf(h.Outputs)}
		}
	}
	return known, nil
}

func (d *desk) load(ctx context.Context, sub *wire.Submission) (*loaded, error) {
	from := source{sub.Recipe, sub.Definition}
	if l := d.loaded[from]; l != nil {
		return l, l.err
	}
	known, err := d.contracts(ctx)
	if err != nil {
		return nil, err
	}
	l := d.o.loader.With(known)
	def := &loaded{}
	def.bundle, def.err = safely("read the definition", func() (*flow.Bundle, error) {
		read := func() (*flow.Bundle, flow.Diagnostics) { return l.LoadLocal(sub.Recipe) }
		if sub.Definition != "" {
			read = func() (*flow.Bundle, flow.Diagnostics) { return l.LoadText("<definition>", []byte(sub.Definition)) }
		}
		bundle, diags := read()
		if err := diags.Err(); err != nil {
			return nil, &refusal{text: err.Error()}
		}
		return bundle, nil
	})
	d.loaded[from] = def
	return def, def.err
}

// checkHandlers refuses what no worker that is alive can do.
func (d *desk) checkHandlers(ctx context.Context, b *flow.Bundle) error {
	if d.o.cfg.WaitForHandlers {
		return nil
	}
	workers, err := d.workers(ctx)
	if err != nil || len(workers) == 0 {
		return err
	}
	known := map[string]bool{}
	for _, w := range workers {
		for _, h := range w.Handlers {
			known[h.Name] = true
		}
	}
	var lines []string
	for _, use := range b.Handlers() {
		if !known[use.Handler] {
			lines = append(lines, fmt.Sprintf("%s: job %q wants the handler %q, which none of the %d workers has", use.Flow, use.Job, use.Handler, len(workers)))
		}
	}
	if len(lines) > 0 {
		return &refusal{text: strings.Join(lines, "\n")}
	}
	return nil
}
