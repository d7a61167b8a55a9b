package diagnose

import (
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/checks/health"
)

// matrix makes findings of the cells of the matrix that are not well, but for what other findings tell already, with
// more evidence.
func (r *Report) matrix(hide *Redactor) {
	if r.Health == nil {
		return
	}
	rest := &health.Report{}
	for i := range r.Health.Rows {
		row := &r.Health.Rows[i]
		left := health.Row{Node: row.Node}
		for j := range row.Cells {
			c := &row.Cells[j]
			c.Saw, c.Cause = hide.Text(c.Saw), hide.Text(c.Cause)
			if !r.tells(row.Node, c.Check) {
				left.Cells = append(left.Cells, *c)
			}
		}
		rest.Rows = append(rest.Rows, left)
	}
	for _, c := range rest.Wrong() {
		level, verb := Fail, "fails"
		if c.Cell.Status == health.Warn {
			level, verb = Warn, "warns"
		}
		node := ""
		if len(c.Nodes) == 1 {
			node = c.Nodes[0]
		}
		f := c.Finding()
		f.What = fmt.Sprintf("%s: the check %s %s", c.Who(), c.Cell.Check, verb)
		r.add(AreaHealth, level, node, f)
	}
}

// tells says whether there is a finding of what the check would say of the node.
func (r *Report) tells(node, check string) bool {
	switch nr := r.node(node); check {
	case "apps":
		return nr == nil || !nr.Reached || r.has(AreaReach, node)
	case "mesh", "partitions":
		return r.has(AreaCluster, "")
	case "mailbox":
		return r.has(AreaProcess, node)
	case "log":
		return len(r.Logs.Files) > 0
	default:
		return nr == nil || !nr.Reached
	}
}

// cell returns what a check found of a node, "" if it was not made.
func (r *Report) cell(node, check string) health.Status {
	if r.Health == nil {
		return ""
	}
	for _, row := range r.Health.Rows {
		if i := slices.IndexFunc(row.Cells, func(c health.Cell) bool { return c.Check == check }); row.Node == node && i >= 0 {
			return row.Cells[i].Status
		}
	}
	return ""
}
