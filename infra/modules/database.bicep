// PostgreSQL that knows no passwords: people, pipelines and the app sign in with Entra tokens.
param suffix string
param location string
param tags object
param sku string
param tier string
param highAvailability bool
param adminObjectId string
param adminName string
param adminType string
@description('Name of the app\'s identity, which is the name of its login (infra/postgres/app-login.sql).')
param identityName string
param privateNetwork bool
param operatorIpAddresses array
param endpointSubnetId string
param databaseZoneId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: 'psql-mail-ingest-${suffix}'
  location: location
  tags: tags
  sku: { name: sku, tier: tier }
  properties: {
    version: '17'
    createMode: 'Create'
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: { storageSizeGB: 32, autoGrow: 'Enabled' }
    backup: { backupRetentionDays: 14, geoRedundantBackup: 'Disabled' }
    highAvailability: { mode: highAvailability ? 'ZoneRedundant' : 'Disabled' }
    network: { publicNetworkAccess: privateNetwork && empty(operatorIpAddresses) ? 'Disabled' : 'Enabled' }
  }

  resource database 'databases' = {
    name: 'dms'
    properties: { charset: 'UTF8', collation: 'en_US.utf8' }
  }

  resource admin 'administrators' = if (!empty(adminObjectId)) {
    name: adminObjectId
    properties: {
      principalName: adminName
      principalType: adminType
      tenantId: tenant().tenantId
    }
    dependsOn: [database]
  }

  // Flex Consumption without a virtual network has no addresses of its own: every Azure address may knock, and only
  // an Entra token of a known login opens.
  resource azure 'firewallRules' = if (!privateNetwork) {
    name: 'azure-services'
    properties: { startIpAddress: '0.0.0.0', endIpAddress: '0.0.0.0' }
    dependsOn: [admin]
  }

  resource operators 'firewallRules' = [
    for (address, index) in operatorIpAddresses: {
      name: 'operator-${index}'
      properties: { startIpAddress: address, endIpAddress: address }
      dependsOn: [admin]
    }
  ]
}

module endpoint 'endpoint.bicep' = if (privateNetwork) {
  name: 'endpoint-database'
  params: {
    name: 'pe-${server.name}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: server.id
    groupId: 'postgresqlServer'
    zoneId: databaseZoneId
  }
}

output serverId string = server.id
output host string = server.properties.fullyQualifiedDomainName
output databaseName string = server::database.name
output url string = 'postgresql://${identityName}@${server.properties.fullyQualifiedDomainName}:5432/${server::database.name}?sslmode=verify-full&sslrootcert=system'
