package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// submissions answers submissions: new ones, and those an orchestrator that
// died has left.
func (o *Orchestrator) submissions(ctx context.Context) error {
	subs, err := o.store.ReadSubmissions(ctx, o.cfg.Name, 16, o.cfg.Poll)
	if err != nil {
		return err
	}
	// Those that were left behind get their turn also when new ones never end.
	if len(subs) == 0 || o.clock().Sub(o.claimed) > o.cfg.Ownership {
		o.claimed = o.clock()
		left, err := o.store.ClaimSubmissions(ctx, o.cfg.Name, o.cfg.Ownership, 16)
		if err != nil {
			return err
		}
		subs = append(left, subs...)
	}
	for i := range subs {
		if err := o.accept(context.WithoutCancel(ctx), &subs[i]); err != nil {
			return err
		}
	}
	return nil
}

// refusal is an error that is the submitter's to mend.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// accept creates the run of a submission and answers it. Doing it again is
// harmless: the run's id follows from the submission.
func (o *Orchestrator) accept(ctx context.Context, sub *wire.Submission) error {
	id, err := o.create(ctx, sub)
	var no *refusal
	switch {
	case errors.As(err, &no):
		o.log.Info("submission rejected", zap.String("entry", sub.Entry), zap.String("reason", firstLine(no.text)))
		return o.store.AnswerSubmission(ctx, sub.Entry, wire.Answer{State: wire.Rejected, Error: no.text}, wire.AnswerTTL)
	case err != nil && (o.store.Retryable(err) || sub.Deliveries < 5):
		return err
	case err != nil:
		return o.store.AnswerSubmission(ctx, sub.Entry, wire.Answer{State: wire.Rejected, Error: "internal error: " + err.Error()}, wire.AnswerTTL)
	}
	o.log.Info("run accepted", zap.String("run_id", id), zap.String("recipe", sub.Recipe), zap.String("by", sub.By))
	return o.store.AnswerSubmission(ctx, sub.Entry, wire.Answer{State: wire.Accepted, Run: id}, wire.AnswerTTL)
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

var runIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)

// safely does what reads what others wrote: a panic there must not end the
// orchestrator, since the next one would meet the same.
func safely[T any](what string, do func() (T, error)) (out T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", what, v, debug.Stack())
		}
	}()
	return do()
}

func (o *Orchestrator) create(ctx context.Context, sub *wire.Submission) (string, error) {
	id := sub.ID
	if id == "" {
		id = RunID(sub.Entry)
	} else if !runIDForm.MatchString(id) {
		return "", &refusal{fmt.Sprintf("the id %q may hold letters, digits and _ . : - only, at most 128", id)}
	}
	if _, err := o.store.Run(ctx, id); err == nil {
		return id, nil // submitted before
	} else if !errors.Is(err, wire.ErrNotFound) {
		return "", err
	}
	if reason := o.busy(); reason != "" {
		return "", &refusal{reason}
	}
	now := o.now()
	bundle, inputs, seeds, err := o.wanted(ctx, sub, now)
	if err != nil {
		return "", err
	}
	if err := o.checkHandlers(ctx, bundle); err != nil {
		return "", err
	}
	if sub.Key == "" {
		return id, o.begin(ctx, id, bundle, inputs, seeds, sub, now)
	}
	owner, err := o.store.ClaimKey(ctx, sub.Key, id, keyTTL(sub))
	if err != nil || owner != id {
		return owner, err
	}
	err = o.begin(ctx, id, bundle, inputs, seeds, sub, now)
	if no := (*refusal)(nil); errors.As(err, &no) {
		return id, errors.Join(err, o.store.ReleaseKey(ctx, sub.Key))
	}
	return id, err
}

// keyTTL is how long the key of a submission counts; a day when it does not say.
func keyTTL(sub *wire.Submission) time.Duration {
	if sub.KeyFor > 0 {
		return time.Duration(sub.KeyFor) * time.Millisecond
	}
	return 24 * time.Hour
}

// wanted is the definition and the inputs of a submission.
func (o *Orchestrator) wanted(ctx context.Context, sub *wire.Submission, now time.Time) (*flow.Bundle, map[string]any, map[string]engine.Seed, error) {
	if sub.Retry != nil {
		return o.retry(ctx, sub, now)
	}
	if sub.From != "" {
		bundle, inputs, err := o.again(ctx, sub)
		return bundle, inputs, nil, err
	}
	bundle, err := o.load(ctx, sub)
	if err != nil {
		return nil, nil, nil, err
	}
	inputs, err := safely("resolve the inputs", func() (map[string]any, error) { return gather(bundle.RootFlow(), sub, now) })
	return bundle, inputs, nil, err
}

// again takes the definition, the inputs and the labels of an earlier run.
func (o *Orchestrator) again(ctx context.Context, sub *wire.Submission) (*flow.Bundle, map[string]any, error) {
	rec, err := o.store.Run(ctx, sub.From)
	if errors.Is(err, wire.ErrNotFound) {
		return nil, nil, &refusal{fmt.Sprintf("there is no run %q, or no longer", sub.From)}
	}
	if err != nil {
		return nil, nil, err
	}
	raw, err := o.store.Definition(ctx, o.store.PartitionOf(sub.From), rec.Definition)
	if err != nil {
		return nil, nil, err
	}
	bundle, err := flow.DecodeBundle(raw)
	if err != nil {
		return nil, nil, err
	}
	v, err := expr.Decode(rec.Inputs)
	if err != nil {
		return nil, nil, fmt.Errorf("read the inputs of run %s: %w", sub.From, err)
	}
	inputs, _ := v.(map[string]any)
	labels := maps.Clone(rec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, sub.Labels)
	labels["rerunOf"] = sub.From
	sub.Labels = labels
	return bundle, inputs, nil
}

// contracts is what live workers say of their handlers. Whether there is one at
// all is another question, see checkHandlers.
func (o *Orchestrator) contracts(ctx context.Context) (flow.Contracts, error) {
	known := flow.Contracts{Handlers: map[string]flow.Contract{}}
	workers, err := o.store.Workers(ctx)
	if err != nil {
		return known, err
	}
	for _, w := range workers {
		if o.now().Sub(time.UnixMilli(w.Seen)) > 15*time.Second {
			continue
		}
		for _, h := range w.Handlers {
			known.Handlers[h.Name] = flow.Contract{Handler: h.Name, Inputs: flow.ShapeOf(h.Inputs), Outputs: flow.ShapeOf(h.Outputs)}
		}
	}
	return known, nil
}

func (o *Orchestrator) load(ctx context.Context, sub *wire.Submission) (*flow.Bundle, error) {
	known, err := o.contracts(ctx)
	if err != nil {
		return nil, err
	}
	l := o.loader.With(known)
	read := func() (*flow.Bundle, flow.Diagnostics) { return l.LoadLocal(sub.Recipe) }
	if sub.Definition != "" {
		read = func() (*flow.Bundle, flow.Diagnostics) { return l.LoadText("<definition>", []byte(sub.Definition)) }
	}
	return safely("read the definition", func() (*flow.Bundle, error) {
		bundle, diags := read()
		if err := diags.Err(); err != nil {
			return nil, &refusal{err.Error()}
		}
		return bundle, nil
	})
}

// gather resolves the inputs of a submission: the JSON object, and over it the
// single fields.
func gather(f *flow.Flow, sub *wire.Submission, now time.Time) (map[string]any, error) {
	given, err := givenBy(sub)
	if err != nil {
		return nil, err
	}
	inputs, problems := f.ResolveInputs(given, now)
	if len(problems) > 0 {
		var lines []string
		for _, p := range problems {
			lines = append(lines, p.Error())
		}
		return nil, &refusal{strings.Join(lines, "\n")}
	}
	return inputs, nil
}

// givenBy are the inputs that a submission itself has.
func givenBy(sub *wire.Submission) (map[string]any, error) {
	given := map[string]any{}
	if len(sub.Inputs) > 0 {
		v, err := expr.Decode(sub.Inputs)
		if err != nil {
			return nil, &refusal{"the inputs are not JSON: " + err.Error()}
		}
		if m, ok := v.(map[string]any); ok {
			given = m
		}
	}
	for name, text := range sub.Single {
		given[name] = text
	}
	return given, nil
}

// checkHandlers refuses what no worker that is alive can do.
func (o *Orchestrator) checkHandlers(ctx context.Context, b *flow.Bundle) error {
	if o.cfg.WaitForHandlers {
		return nil
	}
	workers, err := o.store.Workers(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	alive := 0
	for _, w := range workers {
		if o.now().Sub(time.UnixMilli(w.Seen)) > 15*time.Second {
			continue
		}
		alive++
		for _, h := range w.Handlers {
			known[h.Name] = true
		}
	}
	if alive == 0 {
		return nil
	}
	var lines []string
	for _, use := range b.Handlers() {
		if !known[use.Handler] {
			lines = append(lines, fmt.Sprintf("%s: job %q wants the handler %q, which none of the %d workers has", use.Flow, use.Job, use.Handler, alive))
		}
	}
	if len(lines) > 0 {
		return &refusal{strings.Join(lines, "\n")}
	}
	return nil
}

// begin creates the run and takes its first step, in one commit.
func (o *Orchestrator) begin(ctx context.Context, id string, b *flow.Bundle, inputs map[string]any, seeds map[string]engine.Seed, sub *wire.Submission, now time.Time) error {
	definition, err := b.Encode()
	if err != nil {
		return err
	}
	digest, err := b.Digest()
	if err != nil {
		return err
	}
	p := o.store.PartitionOf(id)
	if err := o.sow(ctx, id, seeds); err != nil {
		return err
	}
	nonce := o.nonce()
	fx, err := safely("begin run "+id, func() (engine.Effects, error) {
		program, err := engine.Compile(b, o.cfg.Limits)
		if err != nil {
			return engine.Effects{}, &refusal{err.Error()}
		}
		r := engine.New(program, engine.Create{
			ID: id, Partition: p, Digest: digest, Inputs: inputs, SubmittedBy: sub.By,
			Labels: maps.Clone(sub.Labels), Now: now.UnixMilli(), Seeds: seeds, NoCache: sub.NoCache,
		})
		return r.Step(now.UnixMilli(), nonce, engine.Event{Kind: engine.Start}), nil
	})
	if err != nil {
		return err
	}
	c, err := toCommit(id, 0, nil, &fx, now.UnixMilli())
	if err != nil {
		return err
	}
	c.Digest, c.Definition = digest, definition
	c.Artifacts = append(c.Artifacts, takenOver(fx.Run.Inputs, seeds)...)
	res, err := o.store.Commit(ctx, p, []wire.Commit{c})
	if err != nil {
		return err
	}
	if res[0].Err != nil {
		if errors.Is(res[0].Err, wire.ErrConflict) {
			return nil // it is there
		}
		return res[0].Err
	}
	return newPartition(o, p).replied(ctx, id, &fx)
}

// RunID derives the id of a run from its submission's entry id: a UUID of
// version 7 whose time is that of the entry.
func RunID(entry string) string {
	sum := sha256.Sum256([]byte("orchis run " + entry))
	ms, _, _ := strings.Cut(entry, "-")
	at, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		at = 0
	}
	var u uuid.UUID
	for i := range 6 {
		u[i] = byte(at >> (40 - 8*i))
	}
	copy(u[6:], sum[:10])
	u[6], u[8] = u[6]&0x0f|0x70, u[8]&0x3f|0x80
	return u.String()
}

func jsonText(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}
