package health

var codeChecks = []*Check{}
