package worker

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/secret"
)

// unseal puts the secrets that the ticket mentions into its inputs and env, and
// hides them from now on.
func (a *attempt) unseal() error {
	t := secret.Ticket{Inputs: a.ticket.Inputs, Env: a.ticket.Env, Texts: a.ticket.Secrets}
	values, err := t.Fill(a.w.cfg.Secrets)
	if err != nil {
		return err
	}
	a.inputs, a.env = t.Inputs, t.Env
	if len(values) == 0 {
		return nil
	}
	for name, v := range values {
		if len(v) < secret.Short {
			a.w.log.Warn("a secret is too short to be hidden in logs and results", append(a.fields(), zap.String("secret", name))...)
		}
	}
	a.mask = secret.NewMask(append(slices.Collect(maps.Values(values)), a.w.cfg.hidden()...)...)
	return nil
}

// refuse puts a ticket away that nobody may work on. If it was a true one, the
// orchestrator misses it after a while and publishes it again.
func (a *attempt) refuse(why error) {
	a.w.log.Error("ticket refused", append(a.fields(), zap.String("ticket", a.ticket.ID), zap.Error(why))...)
	ctx := context.WithoutCancel(a.ctx)
	b := a.w.newBackoff("put a refused ticket away")
	for {
		err := a.w.store.RefuseTicket(ctx, a.ticket, why)
		if err == nil || !redisstore.IsRetryable(err) {
			if err != nil {
				a.w.log.Error("the refused ticket stays", append(a.fields(), zap.Error(err))...)
			}
			return
		}
		b.wait(ctx, err)
	}
}

// Begun tells writers of log lines where a line must not be cut.
func (a *attempt) Begun(text []byte) int { return a.mask.Begun(text) }

// hidden are the worker's own secrets, which handlers have no business with.
func (c Config) hidden() []string {
	out := append(strings.Split(c.SigningKeys, ","), c.Hide...)
	if u, err := url.Parse(c.URL); err == nil {
		if password, ok := u.User.Password(); ok {
			out = append(out, password)
		}
	}
	return out
}
