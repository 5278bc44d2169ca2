package redisstore

import (
	"context"
	"crypto/sha256"
	_ "embed" // scripts
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Large values stand in keys of their own, named by their content: a stream or
// a hash that holds them would be slow for all. Nobody outside this package
// sees a reference. A blob that no run refers to expires; the commit that
// refers to it keeps it, or is refused when it is gone already.

// What is longer stands in a blob.
const (
	inlineInputs = 256 << 10
	inlineResult = 64 << 10
)

const (
	blobWaits = 7 * 24 * time.Hour // for the commit that refers to it
	blobStays = time.Hour          // after the last run that did
)

// blobMark begins a field of a run's outputs that names a blob. No JSON begins
// with it.
const blobMark = "\x00blob:"

//go:embed scripts/release.lua
var releaseSource string

// putBlob keeps a value for a while and returns its name.
func (s *Store) putBlob(ctx context.Context, p int, value []byte) (string, error) {
	sum := sha256.Sum256(value)
	digest := hex.EncodeToString(sum[:])
	_, err := s.client.SetArgs(ctx, s.blob(p, digest), value, redis.SetArgs{Mode: "NX", TTL: blobWaits}).Result()
	if errors.Is(err, redis.Nil) { // there already; one that is kept has no expiry to be changed
		err = s.client.ExpireGT(ctx, s.blob(p, digest), blobWaits).Err()
	}
	if err != nil {
		return "", fmt.Errorf("keep a large value: %w", err)
	}
	return digest, nil
}

// errGone says that a large value is not there any more. It is not ErrNotFound:
// the run that refers to it is there.
var errGone = errors.New("it is gone")

// getBlob returns a value; errGone when it is not there.
func (s *Store) getBlob(ctx context.Context, p int, digest string) ([]byte, error) {
	value, err := s.client.Get(ctx, s.blob(p, digest)).Bytes()
	if sum := sha256.Sum256(value); err == nil && hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("large value %.16s is not what its name says: %w", digest, errGone)
	}
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("large value %.16s: %w", digest, errGone)
	}
	if err != nil {
		return nil, fmt.Errorf("read a large value: %w", err)
	}
	return value, nil
}

// offload puts the large values of changes into blobs. The changes themselves
// stay as they are; what is returned is to be written.
func (s *Store) offload(ctx context.Context, p int, changes []wire.Commit) ([]wire.Commit, error) {
	if !slices.ContainsFunc(changes, hasLarge) {
		return changes, nil
	}
	out := slices.Clone(changes)
	for i := range out {
		c := &out[i]
		var err error
		if c.Definition, err = pack(c.Definition); err != nil {
			return nil, err
		}
		for k := range c.Outputs {
			if len(c.Outputs[k].Value) <= inlineResult {
				continue
			}
			digest, err := s.putBlob(ctx, p, c.Outputs[k].Value)
			if err != nil {
				return nil, err
			}
			c.Outputs = slices.Clone(c.Outputs)
			c.Outputs[k].Value = []byte(blobMark + digest)
			c.Blobs = append(c.Blobs, digest)
		}
		for k := range c.Tickets {
			if len(c.Tickets[k].Inputs) <= inlineInputs {
				continue
			}
			digest, err := s.putBlob(ctx, p, c.Tickets[k].Inputs)
			if err != nil {
				return nil, err
			}
			c.Tickets = slices.Clone(c.Tickets)
			c.Tickets[k].Inputs, c.Tickets[k].Blob = nil, digest
			c.Blobs = append(c.Blobs, digest)
		}
	}
	return out, nil
}

// hasLarge reports whether something of a change is not written as it is.
func hasLarge(c wire.Commit) bool {
	return len(c.Definition) > 0 ||
		slices.ContainsFunc(c.Outputs, func(o wire.Output) bool { return len(o.Value) > inlineResult }) ||
		slices.ContainsFunc(c.Tickets, func(t wire.Ticket) bool { return len(t.Inputs) > inlineInputs })
}

// fillOutputs puts large values in the place of their names.
func (s *Store) fillOutputs(ctx context.Context, p int, outputs map[string]string) error {
	for task, text := range outputs {
		digest, is := strings.CutPrefix(text, blobMark)
		if !is {
			continue
		}
		value, err := s.getBlob(ctx, p, digest)
		if err != nil {
			return fmt.Errorf("result of task %s: %w", task, err)
		}
		outputs[task] = string(value)
	}
	return nil
}

// fillTickets gives tickets their large inputs. One whose inputs are gone
// becomes a dead letter, and is missed and published again.
func (s *Store) fillTickets(ctx context.Context, p int, tickets []wire.Ticket) ([]wire.Ticket, error) {
	if !slices.ContainsFunc(tickets, func(t wire.Ticket) bool { return t.Blob != "" }) {
		return tickets, nil
	}
	out := tickets[:0:0]
	for _, t := range tickets {
		if t.Blob != "" {
			value, err := s.getBlob(ctx, p, t.Blob)
			if errors.Is(err, errGone) {
				if err := s.RefuseTicket(ctx, t, err); err != nil {
					return out, err
				}
				continue
			}
			if err != nil {
				return out, err
			}
			t.Inputs, t.Blob = value, ""
		}
		out = append(out, t)
	}
	return out, nil
}

// fillEvent gives an event its large result. One whose result is gone is a
// failure that may be tried again.
func (s *Store) fillEvent(ctx context.Context, p int, e *wire.Event) error {
	if e.Blob == "" {
		return nil
	}
	value, err := s.getBlob(ctx, p, e.Blob)
	if errors.Is(err, errGone) {
		e.Type, e.Blob, e.Error = wire.Failed, "", &run.Error{Code: "blob", Message: err.Error()}
		return nil
	}
	e.Result, e.Tidy, e.Blob = value, false, ""
	return err
}

// releaseBlobs lets the blobs of a run go: those that no other run refers to
// expire after a while, so that a commit that is on its way can keep them.
func (s *Store) releaseBlobs(ctx context.Context, p int, id string) error {
	digests, err := s.set(ctx, s.runBlobs(p, id))
	if err != nil {
		return fmt.Errorf("release the large values of run %s: %w", id, err)
	}
	release := redis.NewScript(releaseSource)
	for _, d := range digests {
		blob := s.blob(p, d)
		if err := release.Run(ctx, s.client, []string{blob, blob + ":runs"}, int(blobStays.Seconds()), id).Err(); err != nil {
			return fmt.Errorf("release the large values of run %s: %w", id, err)
		}
	}
	return nil
}
