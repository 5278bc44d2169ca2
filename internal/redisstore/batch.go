package redisstore

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// largeArgument is the size from which an argument is sent as it is, instead of
// being copied.
const largeArgument = 4 << 10

// batch collects the commands of a transaction. The bytes of all small arguments
// are gathered in one buffer, which becomes one string when the commands are
// sent, so a command costs no allocations of its own. The string is never
// changed: no part of a sent command is memory that is used again.
type batch struct {
	text   []byte
	args   []argument
	starts []int // starts[i] is the first argument of command i
}

// argument is text[from:to], or whole when it is set.
type argument struct {
	from, to int
	whole    any
}

// command begins a command and returns its place among the replies. The name is
// a constant string, which costs nothing as an any.
func (b *batch) command(name any) int {
	b.starts = append(b.starts, len(b.args))
	b.args = append(b.args, argument{whole: name})
	return len(b.starts) - 1
}

// arg adds an argument that consists of some parts.
func (b *batch) arg(parts ...string) { b.args = append(b.args, b.put(parts...)) }

// put gathers the parts of an argument that arg or args adds later.
func (b *batch) put(parts ...string) argument {
	if len(parts) == 1 && len(parts[0]) >= largeArgument {
		return argument{whole: parts[0]}
	}
	from := len(b.text)
	for _, p := range parts {
		b.text = append(b.text, p...)
	}
	return argument{from: from, to: len(b.text)}
}

// bytes adds an argument. Large ones must not change until the commands have been
// sent.
func (b *batch) bytes(value []byte) {
	if len(value) >= largeArgument {
		b.whole(value)
		return
	}
	from := len(b.text)
	b.text = append(b.text, value...)
	b.since(from)
}

// putNumber gathers a number.
func (b *batch) putNumber(n int64) argument {
	from := len(b.text)
	b.text = strconv.AppendInt(b.text, n, 10)
	return argument{from: from, to: len(b.text)}
}

// number adds a number.
func (b *batch) number(n int64) { b.args = append(b.args, b.putNumber(n)) }

// texts adds an argument for each of some texts.
func (b *batch) texts(all []string) {
	for _, s := range all {
		b.arg(s)
	}
}

// since adds what has been appended to text since it had a length.
func (b *batch) since(from int) {
	b.args = append(b.args, argument{from: from, to: len(b.text)})
}

// whole adds an argument that is sent as it is. It must not change until the
// commands have been sent.
func (b *batch) whole(value any) { b.args = append(b.args, argument{whole: value}) }

// do adds a rare command, with arguments of any kind.
func (b *batch) do(name any, args ...any) {
	b.command(name)
	for _, a := range args {
		if text, is := a.(string); is {
			b.arg(text)
		} else {
			b.whole(a)
		}
	}
}

// commands returns the commands, whose replies are QUEUED.
func (b *batch) commands(ctx context.Context) []redis.Cmder {
	text, texts, args := string(b.text), make([]string, len(b.args)), make([]any, len(b.args))
	for i, a := range b.args {
		if args[i] = a.whole; a.whole == nil {
			texts[i] = text[a.from:a.to]
			args[i] = &texts[i]
		}
	}
	all, out := make([]redis.StatusCmd, len(b.starts)), make([]redis.Cmder, len(b.starts))
	for i, from := range b.starts {
		to := len(args)
		if i+1 < len(b.starts) {
			to = b.starts[i+1]
		}
		all[i] = *redis.NewStatusCmd(ctx, args[from:to:to]...)
		out[i] = &all[i]
	}
	return out
}

// reset empties the batch. It keeps its memory for the next, unless that is
// unusually much.
func (b *batch) reset() {
	clear(b.args)
	b.text, b.args, b.starts = b.text[:0], b.args[:0], b.starts[:0]
	if cap(b.text) > 1<<20 {
		b.text = nil
	}
}
