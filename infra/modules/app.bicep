// The function app on Flex Consumption, and every setting that it reads (docs/settings.md has their meaning).
param suffix string
param location string
param tags object
param identityId string
param identityClientId string
param mailClientId string
param mailTenantId string
param mailboxes string
param addressDomains string
param clientStateUri string
param databaseUrl string
param hostStorageName string
param packageContainerUrl string
param documentsBlobUrl string
param documentsContainer string
param applicationInsightsName string
param instanceMemoryMB int
param maximumInstanceCount int
param alwaysReadyHttpInstances int
param subnetId string
param scanner string
param scanHold string
param answers string
param answerFrom string
param answerEndpoint string
param appSettings object

// https://learn.microsoft.com/graph/deployments
var graphUrls = {
  AzureCloud: 'https://graph.microsoft.com/v1.0'
  AzureUSGovernment: 'https://graph.microsoft.us/v1.0'
  AzureChinaCloud: 'https://microsoftgraph.chinacloudapi.cn/v1.0'
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-mail-ingest-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: 'func-mail-ingest-${suffix}'
  location: location
  tags: union(tags, { 'azd-service-name': 'ingest' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        // Graph waits 3 s for an answer and drops notifications of endpoints that are slow: HTTP never starts cold.
        alwaysReady: alwaysReadyHttpInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttpInstances }] : []
        // Flex gives Python one HTTP request at a time. The webhook only parses and writes to a queue.
        triggers: { http: { perInstanceConcurrency: 16 } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
  }

  // Passwords for deployment stay off: azd and the pipeline sign in with Entra tokens.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(
      {
        // The host
        AzureWebJobsStorage__accountName: hostStorageName
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identityClientId
        APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
        PYTHON_THREADPOOL_THREAD_COUNT: '56'

        // Identity
        AZURE_CLIENT_ID: identityClientId
        AZURE_INGEST_CLIENT_ID: mailClientId
        AZURE_INGEST_TENANT_ID: mailTenantId
        AZURE_INGEST_MAILBOX: mailboxes
        AZURE_AUTHORITY_HOST: environment().authentication.loginEndpoint
        GRAPH_BASE_URL: graphUrls[environment().name]

        // Only where no managed identity signs in to Graph
        AZURE_INGEST_CLIENT_SECRET: ''
        AZURE_INGEST_CLIENT_SECRET_EXPIRES: ''
        AZURE_INGEST_CLIENT_CERTIFICATE: ''

        // Surroundings
        INGEST_NOTIFICATION_URL: 'https://${app.properties.defaultHostName}'
        INGEST_CLIENT_STATE: '@Microsoft.KeyVault(SecretUri=${clientStateUri})'
        INGEST_DATABASE_URL: databaseUrl
        INGEST_STORAGE__blobServiceUri: documentsBlobUrl
        INGEST_CONTAINER: documentsContainer

        // Malware (docs/malware.md)
        INGEST_SCANNER: scanner
        INGEST_SCAN_HOLD: scanHold
        INGEST_CLAMD: ''

        // Answers to senders (docs/answers.md)
        INGEST_ANSWERS: answers
        INGEST_ANSWER_FROM: answerFrom
        INGEST_ANSWER_ENDPOINT: answerEndpoint
        INGEST_ANSWERS_A_DAY: ''
        INGEST_ANSWER_TEMPLATES: ''

        // Rules: an empty value is the default of docs/settings.md
        INGEST_ADDRESS_DOMAINS: addressDomains
        INGEST_ADDRESS_PATTERN: ''
        INGEST_ALLOW_EXTENSIONS: ''
        INGEST_BLOCK_EXTENSIONS: ''
        INGEST_BODY: ''
        INGEST_DELETE_MODE: ''
        INGEST_LEASE_SECONDS: ''
        INGEST_QUARANTINE_FOLDER: ''
        INGEST_RETRY_SECONDS: ''
        INGEST_ROUTE: ''
        INGEST_SWEEP_LIMIT: ''
        INGEST_TENANT_BUDGET: ''
        INGEST_AUTHSERV_ID: ''
        INGEST_SWEEP_SCOPE: ''
        INGEST_SWEEP_JUNK: ''
        INGEST_UNPACK_BYTES: ''
        INGEST_UNPACK_DEPTH: ''
        INGEST_UNPACK_PARTS: ''
        INGEST_UNPACK_PROCESSOR_SECONDS: ''
        INGEST_UNPACK_RATIO: ''
        INGEST_UNPACK_SECONDS: ''
      },
      appSettings
    )
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
