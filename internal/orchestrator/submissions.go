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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// submissionBatch is the number of submissions taken at once.
const submissionBatch = 100

// submissions answers submissions: new ones, and those an orchestrator that
// died has left.
func (o *Orchestrator) submissions(ctx context.Context) error {
	subs, err := o.store.ReadSubmissions(ctx, o.cfg.Name, submissionBatch, o.cfg.Poll)
	if err != nil {
		return err
	}
	// Those that were left behind get their turn also when new ones never end.
	if len(subs) == 0 || o.clock().Sub(o.claimed) > o.cfg.Ownership { // mutant: orphaned-submissions (without 2)
		o.claimed = o.clock()
		left, err := o.store.ClaimSubmissions(ctx, o.cfg.Name, o.cfg.Ownership, submissionBatch)
		if err != nil {
			return err
		}
		subs = append(left, subs...)
	}
	ctx = context.WithoutCancel(ctx)
	return o.accept(ctx, o.setAside(ctx, subs))
}

// refusal is an error that is the submitter's to mend.
type refusal struct {
	text string
	// told is for the log, when the text holds what a log must not: values.
	told string
}

func (r *refusal) Error() string { return r.text }

// reason is what the log says.
func (r *refusal) reason() string {
	if r.told != "" {
		return r.told
	}
	return firstLine(r.text)
}

// birth is a submission on its way to a run.
type birth struct {
	sub    *wire.Submission
	id     string
	p      int
	commit *wire.Commit // nil when there is nothing to be created
	fx     *engine.Effects
	run    *engine.Run
}

// accept creates the runs of submissions, all of a partition in one commit, and
// answers them. Doing it again is harmless: the id of a run follows from its
// submission.
func (o *Orchestrator) accept(ctx context.Context, subs []wire.Submission) error {
	d := &desk{o: o, loaded: map[source]*loaded{}}
	var born []*birth
	var answers []wire.AnswerTo
	var errs error
	for i := range subs {
		b, err := d.create(ctx, &subs[i])
		var no *refusal
		switch {
		case errors.As(err, &no):
			o.log.Info("submission rejected", zap.String("entry", b.sub.Entry), fact.Recipe(b.sub.Recipe), fact.Trace(b.sub.Trace), zap.String("reason", no.reason()))
			answers = append(answers, answerTo(b, wire.Answer{State: wire.Rejected, Error: no.text}))
		case err != nil && (o.store.Retryable(err) || b.sub.Deliveries < 5):
			errs = errors.Join(errs, err) // it comes again
		case err != nil:
			answers = append(answers, answerTo(b, wire.Answer{State: wire.Rejected, Error: "internal error: " + err.Error()}))
		default:
			born = append(born, b)
		}
	}
	done, err := o.settle(ctx, born)
	errs = errors.Join(errs, err)
	if answers = append(answers, done...); len(answers) > 0 {
		for i := range answers {
			o.cfg.Observer.Answered(answers[i].State == wire.Accepted)
		}
		errs = errors.Join(errs, o.store.AnswerSubmissions(ctx, answers, wire.AnswerTTL))
	}
	return errs
}

func answerTo(b *birth, a wire.Answer) wire.AnswerTo {
	return wire.AnswerTo{Entry: b.sub.Entry, Inbox: b.sub.Inbox, Answer: a}
}

// settle commits new runs and returns the answers to those that are there.
func (o *Orchestrator) settle(ctx context.Context, born []*birth) ([]wire.AnswerTo, error) {
	var answers []wire.AnswerTo
	there := func(b *birth) {
		o.log.Info("run accepted", append(o.born(b), zap.String("by", b.sub.By))...)
		answers = append(answers, answerTo(b, wire.Answer{State: wire.Accepted, Run: b.id}))
	}
	parts := map[int][]*birth{}
	for _, b := range born {
		if b.commit == nil {
			there(b)
			continue
		}
		parts[b.p] = append(parts[b.p], b)
	}
	var errs error
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		changes, effects := make([]wire.Commit, len(parts[p])), make([]*engine.Effects, len(parts[p]))
		for i, b := range parts[p] {
			changes[i], effects[i] = *b.commit, b.fx
		}
		known := o.expect(p, parts[p])
		results, err := o.save(ctx, p, changes, effects, true)
		for i := range results {
			if results[i].Err == nil {
				o.handOver(parts[p][i], results[i].TicketIDs)
			}
		}
		known()
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		for i, b := range parts[p] {
			if err = results[i].Err; err == nil {
				err = newPartition(o, p).replied(ctx, b.id, b.fx)
			} else if errors.Is(err, wire.ErrConflict) { // it is there already, unless a value that it refers to has expired
				_, err = o.store.Run(ctx, b.id)
			}
			if err != nil {
				errs = errors.Join(errs, err)
				continue
			}
			there(b)
		}
	}
	return answers, errs
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

func (d *desk) create(ctx context.Context, sub *wire.Submission) (*birth, error) {
	o, b := d.o, &birth{sub: sub, id: sub.ID}
	if b.id == "" {
		b.id = RunID(sub.Entry)
	} else if !runIDForm.MatchString(b.id) {
		return b, &refusal{text: fmt.Sprintf("the id %q may hold letters, digits and _ . : - only, at most 128", b.id)}
	}
	if sub.ID != "" || sub.Deliveries > 1 { // else nobody can have created it
		if _, err := o.store.Run(ctx, b.id); err == nil {
			return b, nil // submitted before
		} else if !errors.Is(err, wire.ErrNotFound) {
			return b, err
		}
	}
	if reason := o.busy(); reason != "" {
		return b, &refusal{text: reason}
	}
	now := o.now()
	def, inputs, seeds, err := d.wanted(ctx, sub, now)
	if err != nil {
		return b, err
	}
	if err := d.checkHandlers(ctx, def.bundle); err != nil {
		return b, err
	}
	if sub.Key == "" {
		return b, d.begin(ctx, b, def, inputs, seeds, now)
	}
	owner, err := o.store.ClaimKey(ctx, sub.Key, b.id, keyTTL(sub))
	if err != nil || owner != b.id {
		b.id = owner
		return b, err
	}
	err = d.begin(ctx, b, def, inputs, seeds, now)
	if no := (*refusal)(nil); errors.As(err, &no) {
		return b, errors.Join(err, o.store.ReleaseKey(ctx, sub.Key))
	}
	return b, err
}

// keyTTL is how long the key of a submission counts; a day when it does not say.
func keyTTL(sub *wire.Submission) time.Duration {
	if sub.KeyFor > 0 {
		return time.Duration(sub.KeyFor) * time.Millisecond
	}
	return 24 * time.Hour
}

// wanted is the definition and the inputs of a submission.
func (d *desk) wanted(ctx context.Context, sub *wire.Submission, now time.Time) (*loaded, map[string]any, map[string]engine.Seed, error) {
	if sub.Retry != nil {
		bundle, inputs, seeds, err := d.retry(ctx, sub, now)
		return &loaded{bundle: bundle}, inputs, seeds, err
	}
	if sub.From != "" {
		bundle, inputs, err := d.o.again(ctx, sub)
		return &loaded{bundle: bundle}, inputs, nil, err
	}
	def, err := d.load(ctx, sub)
	if err != nil {
		return nil, nil, nil, err
	}
	inputs, err := safely("resolve the inputs", func() (map[string]any, error) { return gather(def.bundle.RootFlow(), sub, now) })
	return def, inputs, nil, err
}

// again takes the definition, the inputs and the labels of an earlier run.
func (o *Orchestrator) again(ctx context.Context, sub *wire.Submission) (*flow.Bundle, map[string]any, error) {
	rec, err := o.store.Run(ctx, sub.From)
	if errors.Is(err, wire.ErrNotFound) {
		return nil, nil, &refusal{text: fmt.Sprintf("there is no run %q, or no longer", sub.From)}
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

// gather resolves the inputs of a submission: the JSON object, and over it the
// single fields.
func gather(f *flow.Flow, sub *wire.Submission, now time.Time) (map[string]any, error) {
	given, err := givenBy(sub)
	if err != nil {
		return nil, err
	}
	inputs, problems := f.ResolveInputs(given, now)
	if len(problems) > 0 {
		var lines, names []string
		for _, p := range problems {
			lines, names = append(lines, p.Error()), append(names, strconv.Quote(p.Name))
		}
		return nil, &refusal{text: strings.Join(lines, "\n"), told: "not valid: input " + strings.Join(names, ", ")}
	}
	return inputs, nil
}

// givenBy are the inputs that a submission itself has.
func givenBy(sub *wire.Submission) (map[string]any, error) {
	given := map[string]any{}
	if len(sub.Inputs) > 0 {
		v, err := expr.Decode(sub.Inputs)
		if err != nil {
			return nil, &refusal{text: "the inputs are not JSON: " + err.Error()}
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

// begin makes the run and its first step, which are one commit.
func (d *desk) begin(ctx context.Context, b *birth, def *loaded, inputs map[string]any, seeds map[string]engine.Seed, now time.Time) error {
	o := d.o
	if err := def.prepare(o.cfg.Limits); err != nil {
		return err
	}
	b.p = o.store.PartitionOf(b.id)
	if err := o.sow(ctx, b.id, seeds); err != nil {
		return err
	}
	nonce := o.nonce()
	fx, err := safely("begin run "+b.id, func() (engine.Effects, error) {
		b.run = engine.New(def.program, engine.Create{
			ID: b.id, Partition: b.p, Digest: def.digest, Inputs: inputs, SubmittedBy: b.sub.By,
			Labels: maps.Clone(b.sub.Labels), Now: now.UnixMilli(), Seeds: seeds, NoCache: b.sub.NoCache, Trace: b.sub.Trace, Inbox: b.sub.Inbox,
		})
		fx := b.run.Step(now.UnixMilli(), nonce, engine.Event{Kind: event.Start})
		return fx, fx.Fault
	})
	if err != nil {
		return err
	}
	c := toCommit(b.id, 0, nil, &fx, now.UnixMilli())
	c.Digest, c.Definition = def.digest, def.text
	c.Artifacts = append(c.Artifacts, takenOver(fx.Run.Inputs, seeds)...)
	o.traced(&c, &fx)
	b.commit, b.fx = &c, &fx
	return nil
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
