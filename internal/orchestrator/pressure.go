package orchestrator

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// measure looks at how full Redis is. Above the mark, submissions are rejected
// with the reason, so that the runs under way can come to their end.
func (o *Orchestrator) measure(ctx context.Context) error {
	if o.cfg.MemoryHigh <= 0 {
		return nil
	}
	used, most, err := o.store.Memory(ctx)
	if err != nil {
		if o.store.Retryable(err) {
			return err
		}
		used, most = 0, 0 // this user may not ask; the doctor says so
	}
	reason := ""
	if most > 0 && used*100 >= most*int64(o.cfg.MemoryHigh) {
		reason = fmt.Sprintf("busy: Redis uses %d %% of its maxmemory of %.3g MiB, and from %d %% on nothing new is begun: try again later, raise maxmemory, or keep fewer ended runs", used*100/most, float64(most)/(1<<20), o.cfg.MemoryHigh)
	}
	o.mu.Lock()
	before := o.pressure
	o.pressure = reason
	o.mu.Unlock()
	if (before == "") != (reason == "") {
		o.log.Warn("the memory of Redis", zap.Bool("full", reason != ""), zap.Int64("used", used), zap.Int64("maxmemory", most))
	}
	return nil
}

// busy is why nothing new can be begun; "" when it can.
func (o *Orchestrator) busy() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pressure
}
