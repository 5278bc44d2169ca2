package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The classes of errors that are no answer of Redis.
const (
	classTimeout    = "timeout"
	classConnection = "connection"
	classOther      = "other"
)

// answers are the words with which Redis begins an error that is a class.
func answers() []string {
	return []string{
		"LOADING", "READONLY", "BUSY", "MISCONF", "OOM", "EXECABORT", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "UNBLOCKED",
		"NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "CROSSSLOT", "MOVED", "ASK",
	}
}

// Class says what kind of error it is, in one of a few words: what Redis itself
// calls it in lower case, timeout, connection or other. It is "" for what is no
// trouble: nothing there, a group that exists already or not yet, a script that
// is not known yet, somebody else was faster, what the client tries when it connects, a caller that does not wait any longer.
func Class(err error) string {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, redis.TxFailedErr) || errors.Is(err, context.Canceled) {
		return ""
	}
	word, _, _ := strings.Cut(err.Error(), " ")
	switch {
	case word == "NOSCRIPT" || word == "BUSYGROUP" || word == "NOGROUP", strings.Contains(strings.ToLower(err.Error()), "maint_notifications"):
		return ""
	case slices.Contains(answers(), word):
		return strings.ToLower(word)
	}
	var n net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &n) && n.Timeout():
		return classTimeout
	case errors.As(err, &n), errors.Is(err, io.EOF), errors.Is(err, redis.ErrClosed), IsRetryable(err):
		return classConnection
	}
	return classOther
}

// tell has somebody told of errors.
func (s *Store) tell(onError func(class string)) {
	if onError != nil {
		s.client.AddHook(errorHook(onError))
	}
}

// errorHook tells the class of errors.
type errorHook func(class string)

func (h errorHook) note(err error) {
	if class := Class(err); class != "" {
		h(class)
	}
}

// DialHook changes nothing: the command that wanted the connection fails too.
func (errorHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook notes what became of a command.
func (h errorHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil {
			h.note(err)
		}
		return err
	}
}

// ProcessPipelineHook notes the first error of a pipeline.
func (h errorHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err != nil {
			h.note(cause(cmds, err))
		}
		return err
	}
}
