package orchestrator

import (
	"context"

	"github.com/orchis-run/orchis/internal/wire"
)

// signing is a store whose tickets are signed.
type signing struct {
	Store
	keys wire.Keys
}

// Commit signs the tickets of changes and applies them.
func (s signing) Commit(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	for i := range changes {
		for k := range changes[i].Tickets {
			t := &changes[i].Tickets[k]
			t.Partition = p
			s.keys.Sign(t)
		}
	}
	return s.Store.Commit(ctx, p, changes)
}
