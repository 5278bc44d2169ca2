package redisstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// found is what stands in Redis of what changes depend on.
type found struct {
	known    map[string]int64            // versions that need not be asked for
	versions map[string]*redis.StringCmd // by run
	changed  map[string]int64            // versions that runs get by the transaction
	blobs    map[string]*redis.IntCmd    // by digest
	// held says how long a run keeps an artifact so far, kept how long from now
	// on; by run and digest.
	held map[[2]string]*redis.StringCmd
	kept map[[2]string]string
}

// watch reads what changes depend on, and has Redis notice when it changes. It
// asks for nothing that is known.
func (a *attempt) watch(ctx context.Context, changes []wire.Commit) (*found, error) {
	f := &found{
		known: make(map[string]int64, len(changes)), versions: map[string]*redis.StringCmd{}, changed: make(map[string]int64, len(changes)),
		blobs: map[string]*redis.IntCmd{}, held: map[[2]string]*redis.StringCmd{}, kept: map[[2]string]string{},
	}
	keys := make([]any, 1, 1+len(changes))
	keys[0] = "WATCH" // mutant: commit-watches (replace "WATCH" by "EXISTS")
	for i := range changes {
		c := &changes[i]
		if v, known := a.mark.known(c.Run); known && a.watched {
			f.known[c.Run] = v
		} else {
			keys = append(keys, a.run(a.p, c.Run))
		}
		for _, b := range c.Blobs {
			keys = append(keys, a.blob(a.p, b))
		}
		if len(c.Artifacts) > 0 {
			keys = append(keys, a.runArtifacts(a.p, c.Run))
		}
	}
	if len(keys) == 1 {
		return f, nil
	}
	pipe := a.conn.Pipeline()
	watch := pipe.Do(ctx, keys...)
	for i := range changes {
		c := &changes[i]
		if _, known := f.known[c.Run]; !known {
			f.versions[c.Run] = pipe.HGet(ctx, a.run(a.p, c.Run), "version")
		}
		for _, b := range c.Blobs {
			f.blobs[b] = pipe.Exists(ctx, a.blob(a.p, b))
		}
		for _, art := range c.Artifacts {
			f.held[[2]string{c.Run, art.Digest}] = pipe.HGet(ctx, a.runArtifacts(a.p, c.Run), art.Digest)
		}
	}
	cmds, err := pipe.Exec(ctx)
	if watch.Err() != nil {
		return nil, watch.Err()
	}
	if err == nil {
		return f, nil
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
	}
	return f, nil
}

// conflict reports whether a change was made for another state of its run, or
// refers to a value that has expired.
func (f *found) conflict(c *wire.Commit) bool {
	version, sure := f.changed[c.Run]
	if !sure {
		version, sure = f.known[c.Run]
	}
	if !sure {
		text := f.versions[c.Run].Val()
		if version = number(text); text != "" && text != strconv.FormatInt(version, 10) {
			return true // of somebody else's making
		}
	}
	if version != c.Version { // mutant: commit-version-check (false)
		return true
	}
	for _, b := range c.Blobs {
		if f.blobs[b].Val() == 0 {
			return true
		}
	}
	f.changed[c.Run] = version + 1
	return false
}

// keep is how long a run keeps an artifact from now on: empty is as long as it
// is there itself. The longest time counts.
func (f *found) keep(run string, a *wire.Artifact) string {
	at := [2]string{run, a.Digest}
	had, has := f.kept[at]
	if cmd := f.held[at]; !has && cmd != nil && cmd.Err() == nil {
		had, has = cmd.Val(), true
	}
	keep := ""
	switch {
	case !a.Made:
		keep = had
	case a.KeepFor > 0:
		keep = strconv.FormatInt(a.KeepFor, 10)
	}
	if has && keep != "" && (had == "" || number(had) > number(keep)) {
		keep = had
	}
	f.kept[at] = keep
	return keep
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
