package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// A digest says what a task was asked to do: what its job is, and the inputs
// it had. Two tasks of the same digest may share a result.

// identity is what makes a job the job it is. What only says when and where it
// runs, and how often it is tried, is not part of it; nor are templates, whose
// values are compared instead.
type identity struct {
	Handler     string          `json:"job,omitempty"`
	If          *expr.Condition `json:"if,omitempty"`
	IteratePick string          `json:"iteratePick,omitempty"`
	Outputs     []flow.Input    `json:"outputs,omitempty"`
	Approval    *flow.Approval  `json:"approval,omitempty"`
	WaitFor     *flow.WaitFor   `json:"waitFor,omitempty"`
	Delay       *expr.Template  `json:"delay,omitempty"`
	Until       *expr.Template  `json:"until,omitempty"`
}

func identityOf(def *flow.Job) json.RawMessage {
	id := identity{
		Handler: def.Handler, If: def.If, IteratePick: def.IteratePick, Outputs: def.Outputs,
		Approval: def.Approval, WaitFor: def.WaitFor,
	}
	if def.Handler == "" && def.Approval == nil && def.WaitFor == nil {
		id.Delay, id.Until = def.Delay, def.Until
	}
	raw, err := json.Marshal(id)
	if err != nil {
		return nil // it was read from JSON
	}
	return raw
}

// digest is that of a job and of what its inputs came to.
func digest(id json.RawMessage, t *Ticket) string {
	return shortHash(id) + shortHash(t.Inputs, t.Env, t.Secrets)
}

// shortText is the length of what shortHash returns.
const shortText = 11

// shortHash is the beginning of a hash, 8 bytes as base64url.
func shortHash(parts ...[]byte) string {
	sum := hash(parts...)
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// longHash is a hash over parts in hex.
func longHash(parts ...[]byte) string {
	sum := hash(parts...)
	return hex.EncodeToString(sum[:])
}

// hash is the SHA-256 of parts, each with its length.
func hash(parts ...[]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		_, _ = h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// digestInputs evaluates what a unit is asked to do, as far as a digest wants to know.
func (r *Run) digestInputs(u *unit) (Ticket, *run.Error) {
	var t Ticket
	if bad := r.resolve(u, &t); bad != nil {
		return t, bad
	}
	def := u.node.step.def
	var more *expr.Template
	switch {
	case def.Approval != nil:
		more = def.Approval.Message
	case def.WaitFor != nil:
		more = def.WaitFor.Signal
	}
	if more == nil {
		return t, nil
	}
	v, err := more.Eval(r.view(u))
	if err != nil {
		return t, expressionError(err)
	}
	seen := []any{v}
	if def.WaitFor != nil && def.WaitFor.Match != nil { // it may read what the flow was given
		seen = append(seen, u.node.scope.inputs.Value(), nonNil(u.node.scope.vars))
	}
	if t.Env, err = expr.Encode(seen); err != nil {
		return t, expressionError(err)
	}
	return t, nil
}
