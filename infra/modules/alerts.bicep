// Every rule of alerts.json as a query over the app's metrics, the database's disk, and the budget.
// tests/unit/infra checks alerts.json against the metrics that the app has; tests/integration/test_alerts.py
// evaluates the same rules over what a local stack reports.
param environmentName string
param location string
param tags object
param workspaceId string
@description('Empty: the database is not part of this deployment.')
param databaseServerId string
param emails array
param quarantineGrowth int
param quarantineHolds int
param monthlyBudget int
param budgetStart string
param runbookUrl string

// array(): the rules have different keys, and the compiler knows the type of each.
var rules = array(loadJsonContent('../alerts.json'))
var thresholds = {
  'quarantine-grows': quarantineGrowth
  'quarantine-holds': quarantineHolds
}

// AppMetrics: https://learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics
var filters = [
  for rule in rules: contains(rule, 'attribute') ? ' and tostring(Properties["${rule.attribute}"]) endswith "${rule.endsWith}"' : ''
]
var aggregates = [
  for (rule, index) in rules: {
    max: ' | where Name == "${rule.metric}"${filters[index]} | summarize value = max(Max)'
    min: ' | where Name == "${rule.metric}" | summarize value = min(Min)'
    sum: ' | where Name == "${rule.metric}"${filters[index]} | summarize value = sum(Sum)'
    points: ' | where Name == "${rule.metric}" | summarize value = count()'
    percent: ' | summarize part = sumif(Sum, Name == "${rule.metric}"), whole = sumif(Sum, Name == "${rule.?of ?? ''}") | project value = iff(whole > 0, 100.0 * part / whole, 0.0)'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-mail-ingest-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'mail ingest'
    enabled: true
    emailReceivers: [
      for (address, index) in emails: {
        name: 'person-${index}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for (rule, index) in rules: {
    name: 'alert-mail-ingest-${environmentName}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: 'What to do: ${runbookUrl}#${rule.name}'
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: true
      // A new workspace has no table of metrics before the first arrives.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: 'AppMetrics${aggregates[index][rule.aggregate]}'
            metricMeasureColumn: 'value'
            timeAggregation: rule.operator == 'LessThan' ? 'Minimum' : 'Maximum'
            operator: rule.operator
            threshold: thresholds[?rule.name] ?? rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: {
        actionGroups: [people.id]
        customProperties: { runbook: '${runbookUrl}#${rule.name}' }
      }
    }
  }
]

resource disk 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(databaseServerId)) {
  name: 'alert-mail-ingest-${environmentName}-database-disk'
  location: 'global'
  tags: tags
  properties: {
    description: 'The database has used 80 % of its disk. What to do: ${runbookUrl}#database-disk'
    severity: 2
    enabled: true
    scopes: [databaseServerId]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'storage'
          metricNamespace: 'Microsoft.DBforPostgreSQL/flexibleServers'
          metricName: 'storage_percent'
          timeAggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 80
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = if (monthlyBudget > 0) {
  name: 'budget-mail-ingest-${environmentName}'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: { startDate: budgetStart }
    notifications: {
      spent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [people.id]
      }
      forecast: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
        contactGroups: [people.id]
      }
    }
  }
}
