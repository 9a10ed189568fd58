// The whole entrance: one resource group with the app, its storage, its database and its alarms.
// No remote modules, so that a machine without access to a Bicep registry compiles these files.
targetScope = 'subscription'

@description('Short name of this installation. Part of every resource name.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('Azure region of every resource.')
param location string = 'germanywestcentral'

@description('Resource group. Empty: rg-mail-ingest-<environmentName>.')
param resourceGroupName string = ''

@description('Central mailboxes, separated by commas.')
param mailboxes string

@description('Domains of the upload addresses, separated by commas.')
param addressDomains string

@description('Entra tenant of the mailboxes. Another tenant than the subscription\'s needs mailAppClientId.')
param mailTenantId string = tenant().tenantId

@description('Client id of an app registration in the mailboxes\' tenant that trusts the managed identity by a federated credential. Empty: the managed identity itself reads the mailboxes.')
param mailAppClientId string = ''

@description('Secret that Graph sends back with each notification. azd takes the one in the key vault, or makes one.')
@secure()
param clientState string

@description('Object id of the person or pipeline that deploys, which may read the clientState to keep it. azd knows it.')
param deployerObjectId string = ''

@description('Object id of the person, group or pipeline that owns the database.')
param databaseAdminObjectId string = ''

@description('Name of that principal: the user principal name, the group\'s or the application\'s display name.')
param databaseAdminName string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
param databaseAdminType string = 'User'

@description('libpq URL of an existing database that accepts Entra tokens, without a password. Empty: a new server.')
param existingDatabaseUrl string = ''

@description('Compute size of a new database server.')
param databaseSku string = 'Standard_B2s'

@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param databaseTier string = 'Burstable'

@description('Standby server in another zone. Needs a tier other than Burstable.')
param databaseHighAvailability bool = false

@description('Virtual network with private endpoints for storage, database and key vault.')
param privateNetwork bool = false

@description('Public IPv4 addresses of operators and pipelines that reach storage, database and key vault from outside.')
param operatorIpAddresses array = []

@description('Days in which no blob of a document can be deleted or overwritten. 0: no policy.')
@minValue(0)
@maxValue(146000)
param immutabilityDays int = 0

@description('Copies of the documents: ZRS in three zones of the region, GZRS in a second region as well.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param documentsSku string = 'Standard_ZRS'

@description('Malware scanning of the documents by Defender for Storage, which costs by the gigabyte.')
param malwareScanning bool = false

@description('Documents that the DMS does not see: malicious ones, or all until they were found clean.')
@allowed(['malicious', 'until_clean'])
param scanHold string = 'malicious'

@description('Gigabytes that are scanned in a month at most. What is above has no verdict.')
@minValue(1)
param monthlyScanGB int = 100

@description('The way of answers to senders. graph needs the right of infra/exchange, acs a sender in Communication Services.')
@allowed(['off', 'graph', 'acs'])
param answers string = 'off'

@description('Address that answers come from. Empty, with graph: the first mailbox.')
param answerFrom string = ''

@description('Endpoint of Azure Communication Services, for acs. The app\'s identity needs the role Communication and Email Service Owner there.')
param answerEndpoint string = ''

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Upper limit of instances, and so of the bill.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances for HTTP that always run. 0 lets Graph meet cold starts.')
@minValue(0)
param alwaysReadyHttpInstances int = 1

@description('Mail addresses that alerts and budget messages go to.')
param alertEmails array

@description('Mails in Quarantine that raise an alert: added in an hour, and altogether.')
param quarantineGrowth int = 20
param quarantineHolds int = 200

@description('Budget of the resource group in the subscription\'s currency, a month. 0: no budget.')
@minValue(0)
param monthlyBudget int = 150

@description('First day of the month in which the budget begins.')
param budgetStart string = utcNow('yyyy-MM-01')

@description('Base URL of the runbook, to which every alert links.')
param runbookUrl string

@description('More app settings, or other values of those in modules/app.bicep.')
param appSettings object = {}

var tags = { 'azd-env-name': environmentName, application: 'mail-ingest' }
var suffix = toLower(uniqueString(subscription().id, environmentName, location))

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: empty(resourceGroupName) ? 'rg-mail-ingest-${environmentName}' : resourceGroupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  name: 'identity'
  params: {
    name: 'id-mail-ingest-${environmentName}'
    location: location
    tags: tags
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  name: 'network'
  params: {
    name: 'vnet-mail-ingest-${environmentName}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    suffix: suffix
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  name: 'storage'
  params: {
    suffix: suffix
    location: location
    tags: tags
    documentsSku: documentsSku
    immutabilityDays: immutabilityDays
    identityPrincipalId: identity.outputs.principalId
    privateNetwork: privateNetwork
    operatorIpAddresses: operatorIpAddresses
    endpointSubnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    blobZoneId: privateNetwork ? network!.outputs.blobZoneId : ''
    queueZoneId: privateNetwork ? network!.outputs.queueZoneId : ''
  }
}

module malware 'modules/malware.bicep' = if (malwareScanning) {
  scope: group
  name: 'malware'
  params: {
    suffix: suffix
    location: location
    tags: tags
    identityPrincipalId: identity.outputs.principalId
    hostStorageName: storage.outputs.hostStorageName
    documentsStorageName: storage.outputs.documentsStorageName
    documentsContainer: storage.outputs.documentsContainer
    monthlyScanGB: monthlyScanGB
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  name: 'vault'
  params: {
    suffix: suffix
    location: location
    tags: tags
    clientState: clientState
    deployerObjectId: deployerObjectId
    identityPrincipalId: identity.outputs.principalId
    privateNetwork: privateNetwork
    operatorIpAddresses: operatorIpAddresses
    endpointSubnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    vaultZoneId: privateNetwork ? network!.outputs.vaultZoneId : ''
  }
}

module database 'modules/database.bicep' = if (empty(existingDatabaseUrl)) {
  scope: group
  name: 'database'
  params: {
    suffix: suffix
    location: location
    tags: tags
    sku: databaseSku
    tier: databaseTier
    highAvailability: databaseHighAvailability
    adminObjectId: databaseAdminObjectId
    adminName: databaseAdminName
    adminType: databaseAdminType
    identityName: identity.outputs.name
    privateNetwork: privateNetwork
    operatorIpAddresses: operatorIpAddresses
    endpointSubnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    databaseZoneId: privateNetwork ? network!.outputs.databaseZoneId : ''
  }
}

module app 'modules/app.bicep' = {
  scope: group
  name: 'app'
  params: {
    suffix: suffix
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    mailClientId: empty(mailAppClientId) ? identity.outputs.clientId : mailAppClientId
    mailTenantId: mailTenantId
    mailboxes: mailboxes
    addressDomains: addressDomains
    clientStateUri: vault.outputs.clientStateUri
    databaseUrl: empty(existingDatabaseUrl) ? database!.outputs.url : existingDatabaseUrl
    hostStorageName: storage.outputs.hostStorageName
    packageContainerUrl: storage.outputs.packageContainerUrl
    documentsBlobUrl: storage.outputs.documentsBlobUrl
    documentsContainer: storage.outputs.documentsContainer
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyHttpInstances: alwaysReadyHttpInstances
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    scanner: malwareScanning ? 'defender' : 'off'
    scanHold: scanHold
    answers: answers
    answerFrom: answerFrom
    answerEndpoint: answerEndpoint
    appSettings: appSettings
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    databaseServerId: empty(existingDatabaseUrl) ? database!.outputs.serverId : ''
    emails: alertEmails
    quarantineGrowth: quarantineGrowth
    quarantineHolds: quarantineHolds
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
    runbookUrl: runbookUrl
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_KEY_VAULT_NAME string = vault.outputs.name
output AZURE_FUNCTION_NAME string = app.outputs.name
output NOTIFICATION_URL string = app.outputs.url
output IDENTITY_NAME string = identity.outputs.name
output IDENTITY_CLIENT_ID string = identity.outputs.clientId
output IDENTITY_OBJECT_ID string = identity.outputs.principalId
output DATABASE_HOST string = empty(existingDatabaseUrl) ? database!.outputs.host : ''
output DATABASE_NAME string = empty(existingDatabaseUrl) ? database!.outputs.databaseName : ''
output DOCUMENTS_BLOB_URL string = storage.outputs.documentsBlobUrl
