package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

var alarmChecks = []*Check{
	{
		Name: "alarms", Group: Alarms,
		What: "no alarm is raised; os_mon raises those for memory and disks", Asks: "alarm_handler:get_alarms/0, only where sasl runs",
		Fails: "warns when there is an alarm", Fix: "remove what it tells of; an alarm is cleared by who raised it (alarm_handler:clear_alarm/1)",
		run: alarms,
	},
	{
		Name: "log", Group: Alarms,
		What: "no error was logged since the node started; only for nodes whose log beamctl keeps", Asks: "erlang:statistics/1; the log is read",
		Fails: "warns when there is one", Fix: "beamctl diagnose groups what the logs say; beamctl logs NODE shows it",
		run: errorReports,
	},
}

func alarms(ctx context.Context, x *exam) (Cell, error) {
	if is, err := runs(ctx, x, "sasl"); err != nil {
		return Cell{}, x.failed(err, whichCall, "")
	} else if !is {
		return none("sasl does not run")
	}
	var got etf.Term
	if err := x.call(ctx, &got, "alarm_handler", "get_alarms"); err != nil {
		return Cell{}, x.failed(err, "alarm_handler:get_alarms()", "sasl's alarm_handler hangs or was ended")
	}
	list, ok := got.(etf.List)
	if !ok { // {error, bad_module}
		return none("the application has an alarm handler of its own")
	}
	c := Cell{Status: OK, Saw: "none", Values: map[string]float64{"alarms": float64(len(list))}}
	if len(list) == 0 {
		return c, nil
	}
	var raised []string
	for _, a := range list {
		id := a
		if t, ok := a.(etf.Tuple); ok && len(t) == 2 { // {Id, Description}
			id = t[0]
		}
		raised = append(raised, etf.FormatOptions{MaxBytes: maxID}.Format(id))
	}
	c.Status, c.Saw, c.Cause = Warn, listed(raised), "raised on the node and not cleared"
	return c, nil
}

// Log is what the log of a node says of errors since the node was started.
type Log struct {
	Errors  int
	Example string // of an error, as it was logged; may have several lines
	Where   string // the example is: file:line
	Last    time.Time
}

// ErrNoLog says that the log of a node cannot be read from here.
var ErrNoLog = errors.New("not readable from here")

func errorReports(ctx context.Context, x *exam) (Cell, error) {
	up, err := uptime.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:statistics(wall_clock)", "")
	}
	if x.log == nil {
		return none("%v", ErrNoLog)
	}
	l, err := x.log(ctx, x.t.Name, time.Now().Add(-up))
	if errors.Is(err, ErrNoLog) {
		return none("%v", err)
	}
	if err != nil {
		return Cell{}, err
	}
	c, _ := ok("%s", count(l.Errors, "error", "errors"))
	c.Values = map[string]float64{"errors": float64(l.Errors)}
	if l.Errors > 0 {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%s; %s", count(l.Errors, "error", "errors"), oneLine(l.Example))
		if l.Where != "" {
			c.Saw += " (" + l.Where + ")"
		}
		c.Cause = "logged since the node was started"
		if !l.Last.IsZero() {
			c.Cause += fmt.Sprintf("; the last one %v ago", time.Since(l.Last).Round(time.Second))
		}
	}
	return c, nil
}

// oneLine is the beginning of a text, for a cell.
func oneLine(s string) string {
	line := strings.Join(strings.Fields(s), " ")
	if r := []rune(line); len(r) > maxID {
		return string(r[:maxID]) + "…"
	}
	return line
}
